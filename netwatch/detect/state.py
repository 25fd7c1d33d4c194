"""State of a detector: arrays with one row a series, saved and loaded whole."""

import io
import math
from bisect import bisect_left
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

import msgspec
import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Float32, Floats, RowArray
from netwatch.detect.bayes_filter import DEPTHS, NEW_SERIES, Posterior
from netwatch.detect.row_table import RowTable, array_field
from netwatch.detect.seasonal_baseline import SeasonalBaseline
from netwatch.model.entities import Entity
from netwatch.model.errors import StoreError
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.model.series import SeriesKey

_VERSION = 8
_BASELINE = "baseline_"
"""Prefix of the arrays of the baseline in a saved state."""


class _Header(msgspec.Struct):
    version: int
    width: float
    first_interval: float | None
    keys: list[tuple[str, str]]
    times: list[float]


@dataclass(slots=True)
class TrainingBins:
    """Bins kept until every series in them is old enough for an ordinary level."""

    times: list[datetime] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    totals: list[Floats] = field(default_factory=list)

    def add(self, time: datetime, values: Floats, totals: Floats) -> None:
        """Append one bin of all series, in place of those from `time` on."""
        kept = bisect_left(self.times, time)
        for column in (self.times, self.values, self.totals):
            del column[kept:]
        self.times.append(time)
        self.values.append(values)
        self.totals.append(totals)

    def matrix(self, rows: RowArray) -> tuple[Floats, Floats]:
        """Return values and totals of `rows`, each of shape (time, series)."""
        return _stack(self.values, rows), _stack(self.totals, rows)

    def discard_before(self, time: datetime) -> None:
        """Discard the bins before `time`."""
        first = bisect_left(self.times, time)
        for column in (self.times, self.values, self.totals):
            del column[:first]


def _stack(bins: list[Floats], rows: RowArray) -> Floats:
    """Stack bins of different numbers of rows; a row that did not exist yet is NaN."""
    width = int(rows.max()) + 1 if len(rows) else 0
    padded = [np.pad(one, (0, max(0, width - len(one))), constant_values=np.nan) for one in bins]
    return np.array([one[rows] for one in padded]).reshape(len(bins), len(rows))


@dataclass(slots=True)
class SeriesState(RowTable):
    """The rows of a detector. Times are Unix times; NaN is unknown or none.

    Attributes:
        width: bin width in seconds.
        first_interval: start of the first interval with any series.
        keys: the series in order of first appearance; `rows` is the inverse.
        baseline: ordinary level of each.
        training: bins of series without an ordinary level.
        posterior: probability of each depth, (n, G).
        ratio: current over ordinary at the last bin with data; NaN before the first.
        first_seen: time of the first bin with data.
        ready: whether an ordinary level is known.
        is_share: whether values are successes out of a total.
        frozen_since: time since which nothing is learned.
        low_since, last_low: times of the first and newest bin of the present loss; `last_low`
            stays after the loss.
        shifted_level: level that a low series has settled at, a share of ordinary; else NaN.
        excess: recent counts above ordinary.
        bin_factor: bins that are evaluated together; `observed` and `expected` are counts so
            far in the present group.
        rest_hours: hours of rest days seen.
        shift_scale: usual shift of each signal (`common_mode`); not one value a row.
    """

    width: float
    first_interval: float = math.inf
    keys: list[SeriesKey] = field(default_factory=list)
    rows: dict[SeriesKey, int] = field(default_factory=dict)
    baseline: SeasonalBaseline = field(default_factory=SeasonalBaseline)
    training: TrainingBins = field(default_factory=TrainingBins)
    posterior: Posterior = array_field(np.float32, len(DEPTHS), new_row=NEW_SERIES)
    ratio: Floats = array_field(np.float64, new_row=np.nan)
    first_seen: Floats = array_field(np.float64, new_row=np.nan)
    ready: Bools = array_field(np.bool_)
    is_share: Bools = array_field(np.bool_)
    frozen_since: Floats = array_field(np.float64, new_row=np.nan)
    low_since: Floats = array_field(np.float64, new_row=np.nan)
    last_low: Floats = array_field(np.float64, new_row=np.nan)
    shifted_level: Float32 = array_field(np.float32, new_row=np.nan)
    excess: Float32 = array_field(np.float32)
    bin_factor: npt.NDArray[np.int8] = array_field(np.int8, new_row=1)
    observed: Float32 = array_field(np.float32)
    expected: Float32 = array_field(np.float32)
    rest_hours: Float32 = array_field(np.float32)
    shift_scale: Floats = array_field(np.float64, new_row=None)

    def add(self, keys: list[SeriesKey], time: datetime) -> None:
        """Add rows for new series."""
        self.first_interval = min(self.first_interval, time.timestamp())
        for key in keys:
            self.rows[key] = len(self.keys)
            self.keys.append(key)
        self.baseline.grow(len(keys))
        self.grow(len(keys))

    def copy(self) -> "SeriesState":
        """Return an independent copy; the lists of series and the training bins stay shared."""
        training = TrainingBins(
            self.training.times.copy(), self.training.values.copy(), self.training.totals.copy()
        )
        copied = replace(self, baseline=deepcopy(self.baseline), training=training)
        copied.set_arrays(deepcopy(self.arrays()))
        return copied

    def save(self) -> bytes:
        """Return the state as one block of bytes."""
        values, totals = self.training.matrix(np.arange(len(self.keys)))
        header = _Header(
            version=_VERSION,
            width=self.width,
            # JSON has no infinity.
            first_interval=self.first_interval if math.isfinite(self.first_interval) else None,
            keys=[(key.signal, str(key.entity)) for key in self.keys],
            times=[time.timestamp() for time in self.training.times],
        )
        buffer = io.BytesIO()
        np.savez(
            buffer,
            allow_pickle=False,
            **self.arrays(),
            **{_BASELINE + name: learned for name, learned in self.baseline.arrays().items()},
            training_values=values,
            training_totals=totals,
            header=np.frombuffer(msgspec.json.encode(header), np.uint8),
        )
        return buffer.getvalue()

    @classmethod
    def load(cls, data: bytes, *, width: float) -> "SeriesState":
        """Return the state that `save` wrote.

        Raises:
            StoreError: another version, another bin width, or damaged bytes.
        """
        state, header, arrays = decode_foreign(
            data, partial(_unpack, width=width), what="checkpoint: damaged", kind=StoreError
        )
        state.rows = {key: row for row, key in enumerate(state.keys)}
        times = [datetime.fromtimestamp(time, UTC) for time in header.times]
        values, totals = list(arrays["training_values"]), list(arrays["training_totals"])
        state.training = TrainingBins(times, values, totals)
        return state


def _unpack(data: bytes, *, width: float) -> tuple[SeriesState, _Header, dict[str, Floats]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    header = msgspec.json.decode(arrays["header"].tobytes(), type=_Header)
    if (header.version, header.width) != (_VERSION, width):
        raise StoreError("checkpoint: written with another version or bin width")
    keys = [SeriesKey(signal, Entity.parse(entity)) for signal, entity in header.keys]
    first = math.inf if header.first_interval is None else header.first_interval
    state = SeriesState(width=width, first_interval=first, keys=keys)
    state.set_arrays(arrays)
    state.baseline.set_arrays(
        {
            name.removeprefix(_BASELINE): learned
            for name, learned in arrays.items()
            if name.startswith(_BASELINE)
        }
    )
    return state, header, arrays
