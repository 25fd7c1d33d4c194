"""The state of a detector: every declared array grows by one row a series, and is saved."""

from datetime import UTC, datetime

import numpy as np

from netwatch.detect.bayes_filter import NEW_SERIES
from netwatch.detect.state import SeriesState
from netwatch.model.entities import Entity
from netwatch.model.series import SeriesKey

START = datetime(2026, 3, 2, tzinfo=UTC)


def make_state(series: int) -> SeriesState:
    state = SeriesState(width=300)
    for number in range(series):
        state.add([SeriesKey("probing", Entity.parse(f"asn:{number + 1}"))], START)
    return state


def test_every_array_but_the_scale_of_signals_has_a_row_a_series() -> None:
    state = make_state(3)
    for name, array in (state.arrays() | state.baseline.arrays()).items():
        assert len(array) == (0 if name == "shift_scale" else 3), name
    assert (state.posterior == NEW_SERIES).all()
    assert np.isnan(state.ratio).all()
    assert np.isneginf(state.baseline.level).all()


def test_a_loaded_state_has_every_array_that_was_saved() -> None:
    state = make_state(2)
    state.shift_scale = np.array([0.02, 0.5])
    state.baseline.week[1, 7] = 0.25
    loaded = SeriesState.load(state.save(), width=300)
    assert loaded.keys == state.keys
    for own, other in ((state, loaded), (state.baseline, loaded.baseline)):
        for name, array in own.arrays().items():
            assert array.dtype == other.arrays()[name].dtype, name
            assert array.tobytes() == other.arrays()[name].tobytes(), name
