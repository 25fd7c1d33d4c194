"""The code of a baseline: what a store keeps of it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.errors import InputError

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(
    st.builds(
        Baseline,
        st.sampled_from(BaselineKind),
        days=st.integers(0, 10**5),
        frozen_since=st.none() | TIMES,
        shifted_to=st.none() | st.integers(0, 99).map(lambda percent: percent / 100),
    )
)
def test_every_baseline_is_read_back(baseline: Baseline) -> None:
    assert Baseline.decode(baseline.encode()) == baseline


def test_the_code_is_short_and_readable() -> None:
    frozen = datetime(2026, 3, 16, tzinfo=UTC)
    baseline = Baseline(BaselineKind.HOUR_OF_DAY, 5, frozen_since=frozen, shifted_to=0.4)
    assert baseline.encode() == "hour-of-day days=5 shift=0.4 frozen=2026-03-16T00:00:00+00:00"
    assert Baseline().encode() == ""


@pytest.mark.parametrize("code", ["how", "level days=", "level days", "dead frozen=yesterday"])
def test_damaged_codes_are_errors(code: str) -> None:
    with pytest.raises(InputError, match="baseline"):
        Baseline.decode(code)
