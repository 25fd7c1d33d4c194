"""Grouping into intervals, and the saved state."""

from datetime import timedelta

import pytest
from series import HOUR, START, key

from netwatch.analysis.pipeline import by_interval
from netwatch.app.observatory import make_pipeline
from netwatch.config import Config, PublishConfig
from netwatch.model.entities import EntityTree
from netwatch.model.errors import StoreError
from netwatch.model.series import Bin

ONE = key("asn:64496")


def entry(hour: int) -> Bin:
    return Bin(START + hour * HOUR, ONE, 1.0)


def test_empty_intervals_are_included() -> None:
    intervals = list(
        by_interval([entry(0), entry(0), entry(3)], HOUR, start=START, end=START + 4 * HOUR)
    )
    assert [(time - START) // HOUR for time, _ in intervals] == [0, 1, 2, 3]
    assert [len(bins) for _, bins in intervals] == [2, 0, 0, 1]


def test_bounds_are_filled_with_empty_intervals() -> None:
    intervals = list(by_interval([entry(2)], HOUR, start=START, end=START + 5 * HOUR))
    assert [(time - START) // HOUR for time, _ in intervals] == [0, 1, 2, 3, 4]
    assert [len(bins) for _, bins in intervals] == [0, 0, 1, 0, 0]


def test_without_bins_there_are_intervals_only_between_bounds() -> None:
    assert list(by_interval([], HOUR, start=START, end=START)) == []
    intervals = list(by_interval([], HOUR, start=START, end=START + 2 * HOUR))
    assert intervals == [(START, []), (START + HOUR, [])]


@pytest.mark.parametrize("damaged", [b"", b"\xc1", b"\x82nonsense"])
def test_a_damaged_state_is_refused(damaged: bytes) -> None:
    config = Config(publish=PublishConfig(channels=()))
    pipeline = make_pipeline(config, EntityTree(), width=timedelta(hours=1))
    with pytest.raises(StoreError, match="checkpoint: damaged"):
        pipeline.load(damaged)
