"""A crowd waits its turn, in every line that it stands in."""

from datetime import UTC, datetime, timedelta
from time import perf_counter

from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.collector.newcomer_queue import PROBATION, Applicant, admission_times

START = datetime(2026, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)
MONTH = 30 * DAY


def established(count: int, *lines: str) -> list[Applicant]:
    return [Applicant(START - 2 * MONTH, lines or ("",))] * count


def waits(applicants: list[Applicant]) -> list[int]:
    """Return the days that each applicant waits."""
    times = admission_times(applicants)
    return [(time - one.at) // DAY for one, time in zip(applicants, times, strict=True)]


def test_half_as_many_as_are_established_are_admitted_in_a_month_and_three_at_least() -> None:
    new = [Applicant(START, ("",))] * 20
    assert waits([*established(12), *new])[12:] == [0] * 6 + [30] * 9 + [60] * 5
    assert waits([*established(1), *new])[1:8] == [0] * 3 + [30] * 3 + [60]
    assert waits(new) == [0] * 20


def test_a_full_line_keeps_those_in_another_waiting_for_nothing() -> None:
    crowd = [Applicant(START, ("", "XX"))] * 50
    later = [Applicant(START + DAY, ("", "YY"))] * 10
    old = [*established(100, ""), *established(2, "XX"), *established(30, "YY")]
    found = waits([*old, *crowd, *later])
    assert found[132:140] == [0] * 3 + [30] * 3 + [60] * 2
    assert found[-10:] == [0] * 10


def test_the_vetted_wait_for_nothing_and_idle_agents_make_no_room() -> None:
    idle = [Applicant(START - 2 * MONTH, ("",), is_proven=False)] * 40
    new = [Applicant(START, ("",))] * 4
    assert waits([*established(1), *idle, *new])[-4:] == [0, 0, 0, 30]
    vetted = [Applicant(START, ("",), is_vetted=True)] * 9
    assert waits([*established(1), *vetted])[1:] == [0] * 9


def test_ten_thousand_keys_are_judged_within_seconds() -> None:
    started = perf_counter()
    found = waits([*established(3), *[Applicant(START, ("", "XX"))] * 10_000])
    assert sum(days == 0 for days in found[3:]) == 3
    assert perf_counter() - started < 20


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 90), st.booleans()), max_size=60))
def test_the_newcomers_of_a_month_never_outnumber_half_of_the_established(
    joined: list[tuple[int, bool]],
) -> None:
    new = [Applicant(START + day * DAY, ("",), is_open=open_) for day, open_ in sorted(joined)]
    times = admission_times([*established(10), *new])[10:]
    for now in times:
        recent = [
            one
            for one, time in zip(new, times, strict=True)
            if now - MONTH < time <= now and not one.is_open
        ]
        grown = 10 + sum(time + PROBATION <= now for time in times)
        assert len(recent) <= max(3, grown // 2)
