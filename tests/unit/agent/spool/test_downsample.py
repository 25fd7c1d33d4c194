from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as some

from netwatch.agent.spool.downsample import downsample
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


def test_an_hour_of_the_same_becomes_a_few() -> None:
    thin = downsample([row(number) for number in range(120)], width=WIDTH)
    assert len(thin) <= 12 + 2
    assert sum(one.weight for one in thin) == 120


@settings(deadline=None)
@given(some.lists(some.tuples(some.sampled_from([None, "a", "b"]), some.booleans()), min_size=1))
def test_counts_and_state_changes_stay(drawn: list[tuple[str | None, bool]]) -> None:
    rows = [
        row(number, failure, "one" if first else "two")
        for number, (failure, first) in enumerate(drawn)
    ]
    thin = downsample(rows, width=WIDTH)
    again = downsample(thin, width=timedelta(hours=1))

    def counts(found: list[Measurement], width: timedelta) -> Counter[object]:
        total: Counter[object] = Counter()
        for one in found:
            total[one.target, one.failure, floor_time(one.time, width)] += one.weight
        return total

    assert counts(thin, WIDTH) == counts(rows, WIDTH)
    assert counts(again, timedelta(hours=1)) == counts(rows, timedelta(hours=1))
    for target in ("one", "two"):
        mine = [one for one in rows if one.target == target]
        if mine:
            for found in (thin, again):
                assert outcomes([one for one in found if one.target == target]) == outcomes(mine)


def test_notes_about_the_agent_itself_are_never_thinned() -> None:
    notes = [row(number, target="@gap") for number in range(50)]
    assert downsample(notes, width=timedelta(days=1)) == notes
