"""Trust is earned by proofs, kept over restarts, lost by lies, and erased with the agent."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ingest_rig import WIDTH

from netwatch.collector.agreement import Caught
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.collector.canary import CanaryCheck
from netwatch.collector.registry import Registry
from netwatch.collector.trust_weights import Reason, earned_trust
from netwatch.model.measurement import Batch, Measurement, Vantage

START = datetime(2026, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)
GOOD, NONE = CanaryCheck(right=20), CanaryCheck()
CAUGHT = Caught(1, 1, 1, 1)


@pytest.fixture
def log(tmp_path: Path) -> BatchLog:
    log = BatchLog(tmp_path / "batches.sqlite")
    for name in ("a1", "a2"):
        row = Measurement("one", "tcp", START, None, "", host_responded=True, seconds=0.1)
        batch = Batch(Vantage(name, "XX", 64500), 1, (row,))
        log.add(
            [ReceivedBatch(batch, b"-", name.encode() * 16, START)], closed_until=None, width=WIDTH
        )
    log.record_proofs(START, {}, {}, judged_until=START)
    return log


def weight(log: BatchLog, day: float, name: str = "a1") -> tuple[float, Reason]:
    at = START + day * DAY
    found = earned_trust(log.first_seen(at=at), at)[name, "XX"]
    return round(found.trust.weight, 2), found.reason


def prove(
    log: BatchLog, days: range, canaries: CanaryCheck = NONE, caught: Caught = CAUGHT
) -> None:
    for day in days:
        log.record_proofs(START + day * DAY, {"a1": canaries}, {"a1": caught}, judged_until=None)


def test_age_alone_earns_nothing_and_every_day_of_proof_a_fourteenth(log: BatchLog) -> None:
    prove(log, range(20), GOOD, Caught())
    assert [weight(log, day) for day in (1, 6, 7, 10, 14, 20)] == [
        (0, Reason.PROBATION),
        (0, Reason.PROBATION),
        (0.5, Reason.ESTABLISHED),
        (0.71, Reason.ESTABLISHED),
        (1, Reason.ESTABLISHED),
        (1, Reason.ESTABLISHED),
    ]
    assert weight(log, 400, "a2") == (0, Reason.PROBATION)


def test_agreement_proves_as_canaries_do_and_rises_alone_do_not(log: BatchLog) -> None:
    prove(log, range(14))
    assert weight(log, 14) == (1, Reason.ESTABLISHED)
    always_up = Caught(falls=1, rises=1, caught_rises=1)
    for day in range(14):
        log.record_proofs(START + day * DAY, {}, {"a2": always_up}, judged_until=None)
    assert weight(log, 14, "a2") == (0, Reason.CONTRARY)


def test_who_says_that_all_is_up_loses_its_weight_though_it_fetches_canaries(
    log: BatchLog,
) -> None:
    prove(log, range(14))
    prove(log, range(14, 30), GOOD, Caught(falls=1, rises=1, caught_rises=1))
    weights = [weight(log, day)[0] for day in (14, 20, 24, 28)]
    assert weights[0] == 1
    assert 0 < weights[2] < 0.5
    assert weights[3] == 0
    assert weight(log, 28)[1] is Reason.CONTRARY


def answer(log: BatchLog, check: CanaryCheck, *minutes: int) -> None:
    for minute in minutes:
        at = START + 20 * DAY + timedelta(minutes=minute)
        log.record_proofs(at, {"a1": check}, {}, judged_until=None)


def test_an_interval_that_is_counted_again_counts_once(log: BatchLog) -> None:
    """Late data of anybody have it counted again: an accident must not become a lie."""
    prove(log, range(20), GOOD)
    answer(log, GOOD, *range(1, 60))
    answer(log, CanaryCheck(wrong=1), *[60] * 50)
    assert weight(log, 20.9) == (1, Reason.ESTABLISHED)


def test_guessing_until_it_is_right_proves_nothing(log: BatchLog) -> None:
    """A batch that replaces another may have another guess for the same interval."""
    for day in range(10):
        for check in (CanaryCheck(wrong=1), CanaryCheck(wrong=1), GOOD):
            at = START + day * DAY
            log.record_proofs(at, {"a1": check}, {}, judged_until=None)
    assert weight(log, 10) == (0, Reason.PROBATION)


def test_wrong_canaries_cost_all_weight_at_once_and_for_thirty_days(log: BatchLog) -> None:
    prove(log, range(20), GOOD)
    assert weight(log, 20) == (1, Reason.ESTABLISHED)
    answer(log, GOOD, *range(1, 100))
    answer(log, CanaryCheck(right=1, wrong=2), 100, 101)
    assert weight(log, 20.9) == (1, Reason.ESTABLISHED)
    answer(log, CanaryCheck(wrong=3), 102)
    assert weight(log, 20.9) == (0, Reason.LIE)
    prove(log, range(21, 52), GOOD)
    assert weight(log, 50) == (0, Reason.LIE)
    assert weight(log, 51.5) == (1, Reason.ESTABLISHED)
    log.sum_old_proofs(START + 52 * DAY)
    assert weight(log, 52) == (1, Reason.ESTABLISHED)


def test_proofs_survive_a_restart_stay_small_and_go_with_the_agent(
    log: BatchLog, tmp_path: Path
) -> None:
    prove(log, range(200), GOOD)
    log.sum_old_proofs(START + 200 * DAY)
    before = weight(log, 200)
    log.close()
    path = tmp_path / "batches.sqlite"
    with BatchLog(path) as again:
        assert weight(again, 200) == before == (1, Reason.ESTABLISHED)
        assert again.judged_until() == START
        with closing(sqlite3.connect(path)) as file:
            ((rows,),) = file.execute("SELECT count(*) FROM proof")
        assert rows <= 33
        again.erase("a1", now=START + 200 * DAY)
        prove(again, range(200, 201), GOOD)
        again.record_places({("a1", "XX")}, START)
        with closing(sqlite3.connect(path)) as file:
            assert "a1" not in "\n".join(file.iterdump())


def test_agents_from_before_there_were_proofs_keep_what_their_age_earned(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with BatchLog(path) as log:
        with closing(sqlite3.connect(path)) as file:
            file.execute(
                "INSERT INTO first_seen VALUES ('a1', 'XX', ?, 0)", (START.timestamp() * 1000,)
            )
            file.commit()
        log.record_proofs(START + 40 * DAY, {}, {}, judged_until=START + 40 * DAY)
        assert weight(log, 40) == (1, Reason.ESTABLISHED)
    with Registry(path) as registry:
        assert registry.first_seen(at=START + 41 * DAY)[0].proof is not None


def test_agents_that_turn_together_keep_a_quarter_of_their_weight(tmp_path: Path) -> None:
    with BatchLog(tmp_path / "many.sqlite") as log:
        names = [f"b{number}" for number in range(10)]
        for name in names:
            row = Measurement("one", "tcp", START, None, "", host_responded=True, seconds=0.1)
            batch = Batch(Vantage(name, "XX", 64500), 1, (row,))
            at = START if name < "b3" else START - 20 * DAY
            received = ReceivedBatch(batch, b"-", name.encode() * 16, at)
            log.add([received], closed_until=None, width=WIDTH)
        for day in range(15):
            caught = dict.fromkeys(names, CAUGHT)
            if day == 14:
                caught |= dict.fromkeys(names[:3], Caught(falls=2, rises=2, caught_rises=1))
            log.record_proofs(START + day * DAY, {}, caught, judged_until=None)
        assert log.judge_groups(START + 13 * DAY) == {}
        (group,) = log.judge_groups(START + 14 * DAY).items()
        assert group == ("those first seen in week 2 of 2026", frozenset(names[:3]))
        assert weight(log, 15, "b0") == (0.25, Reason.TURNED)
        assert weight(log, 15, "b5")[1] is Reason.ESTABLISHED
