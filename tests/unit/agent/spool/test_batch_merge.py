"""Downsampling preserves counts and state changes."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as some

from netwatch.agent.spool.batch_merge import downsample
from netwatch.model.measurement import Measurement
from netwatch.model.time import floor_time

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)


def row(number: int, failure: str | None = None, target: str = "one") -> Measurement:
    time = START + timedelta(seconds=30 * number)
    scope = "timeout" if failure else ""
    return Measurement(target, "tcp", time, failure, scope, failure is None, seconds=0.01)


def outcomes(rows: list[Measurement]) -> list[tuple[datetime, str | None]]:
    """The state changes: when the outcome of a target became another."""
    ordered = sorted(rows, key=lambda one: one.time)
    changes = [(ordered[0].time, ordered[0].failure)]
    changes += [
        (later.time, later.failure)
        for earlier, later in pairwise(ordered)
        if earlier.failure != later.failure
    ]
    return changes


def test_an_hour_of_one_outcome_becomes_a_few_rows() -> None:
    reduced = downsample([row(number) for number in range(120)], width=WIDTH)
    assert len(reduced) <= 12 + 2
    assert sum(one.weight for one in reduced) == 120


@settings(deadline=None)
@given(some.lists(some.tuples(some.sampled_from([None, "a", "b"]), some.booleans()), min_size=1))
def test_counts_and_state_changes_are_preserved(drawn: list[tuple[str | None, bool]]) -> None:
    rows = [
        row(number, failure, "one" if first else "two")
        for number, (failure, first) in enumerate(drawn)
    ]
    reduced = downsample(rows, width=WIDTH)
    again = downsample(reduced, width=timedelta(hours=1))

    def counts(measurements: list[Measurement], width: timedelta) -> Counter[object]:
        total: Counter[object] = Counter()
        for one in measurements:
            total[one.target, one.failure, floor_time(one.time, width)] += one.weight
        return total

    assert counts(reduced, WIDTH) == counts(rows, WIDTH)
    assert counts(again, timedelta(hours=1)) == counts(rows, timedelta(hours=1))
    for target in ("one", "two"):
        mine = [one for one in rows if one.target == target]
        if mine:
            for fewer in (reduced, again):
                assert outcomes([one for one in fewer if one.target == target]) == outcomes(mine)


def test_agent_events_are_never_downsampled() -> None:
    events = [row(number, target="@gap") for number in range(50)]
    assert downsample(events, width=timedelta(days=1)) == events
