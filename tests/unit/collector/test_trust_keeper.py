"""Whose measurements count in an interval, and what it costs to decide it."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ingest_rig import WIDTH, answered

from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.collector.metrics import CollectorMetrics
from netwatch.collector.registry import Agent, Registry
from netwatch.collector.trust_keeper import TrustKeeper
from netwatch.collector.trust_weights import TrustSettings
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Batch, Target, Vantage
from netwatch.model.time import to_millis
from netwatch.model.vantage_trust import PROVISIONAL_WEIGHT, VantageTrust

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
DAY = timedelta(days=1)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500, country="XX")}
OWN_KEY = b"home" * 8


class Desk:
    """A keeper of trust with its file; agents send one row each."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "batches.sqlite"
        self.log = BatchLog(self.path)
        self.reopen()

    def reopen(self) -> None:
        self.keeper = TrustKeeper(self.log, BOOK, width=WIDTH, metrics=CollectorMetrics())
        self.log.trust = TrustSettings(0.0, lambda: {OWN_KEY})

    def send(self, name: str, at: datetime = START) -> None:
        batch = Batch(Vantage(name, "XX", 64501), 1, (answered(at),))
        key = OWN_KEY if name == "home" else name.encode().ljust(32)
        self.log.add([ReceivedBatch(batch, b"-", key, at)], closed_until=None, width=WIDTH)

    def enroll(self, name: str) -> None:
        self.run("INSERT INTO agent VALUES (?, 'XX', 64501, '', 1, '', 0, NULL, '')", name)

    def run(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as file:
            rows = file.execute(statement, values).fetchall()
            file.commit()
        return rows

    def agents(self, at: datetime) -> list[Agent]:
        with Registry(self.path) as registry:
            return registry.agents(at, self.log.trust)

    def heard(self, *names: str, at: datetime = START) -> tuple[list[str], list[str]]:
        """Return whose rows count as established, and whose as those of newcomers."""
        rows = [(Vantage(name, "XX", 64501), answered(at)) for name in names]
        voices = self.keeper.divide(rows, at, at + WIDTH)
        self.keeper.learn(rows, is_first=True)
        first, second = ([vantage.id for vantage, _ in one.rows] for one in voices)
        return first, [name for name in second if voices[1].weights[name, "XX"].weight > 0]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_who_was_never_invited_counts_nowhere_and_leaves_nothing(desk: Desk) -> None:
    for name in ("home", "friend", "stranger"):
        desk.send(name)
    desk.enroll("friend")
    assert desk.heard("stranger", "unheard") == ([], [])
    assert desk.heard("friend", "stranger", "unheard") == ([], ["friend"])
    assert desk.heard("home", "friend", "stranger") == (["home"], [])
    assert desk.heard("stranger", at=START + DAY) == ([], [])
    assert {name for (name,) in desk.run("SELECT id FROM measured")} == {"home", "friend"}


def test_a_flood_of_keys_does_not_make_an_interval_dear(desk: Desk) -> None:
    """Sixteen new keys a second are accepted, more than a million a day."""
    desk.send("home")
    desk.heard("home")
    with closing(sqlite3.connect(desk.path)) as file:
        rows = [(f"n{number}", to_millis(START)) for number in range(20_000)]
        file.executemany("INSERT INTO first_seen VALUES (?, 'XX', ?, 0)", rows)
        file.executemany("INSERT INTO vantage VALUES (?, CAST(?2 || ?1 AS BLOB))", rows)
        file.commit()
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    desk.log._file.set_progress_handler(count, 100)
    assert desk.heard("home", "n7", at=START + WIDTH) == (["home"], [])
    desk.keeper.publish_trust(lambda _: None)
    assert steps < 50


def test_trust_that_could_not_be_written_is_written_the_next_time(desk: Desk) -> None:
    desk.send("home")
    desk.heard("home")
    written: list[Mapping[str, VantageTrust]] = []

    def fail(_: Mapping[str, VantageTrust]) -> None:
        raise StoreError("presence.sqlite: disk is full")

    with pytest.raises(StoreError):
        desk.keeper.publish_trust(fail)
    for _ in range(2):
        desk.keeper.publish_trust(written.append)
    assert written == [{"home": VantageTrust()}]


def test_where_only_strangers_measure_their_presence_has_no_weight(desk: Desk) -> None:
    desk.send("stranger")
    desk.heard("stranger")
    written: list[Mapping[str, VantageTrust]] = []
    desk.keeper.publish_trust(written.append)
    assert [one.weight for trust in written for one in trust.values()] == [0.0]


def test_agents_from_before_there_were_proofs_count_in_the_first_interval(desk: Desk) -> None:
    for name in ("old", "young"):
        desk.send(name, START - (60 if name == "old" else -1) * DAY)
        desk.enroll(name)
    assert desk.heard("old", "young") == (["old"], [])
    days = dict(desk.run("SELECT id, days FROM proof WHERE day = 0"))
    assert days == {"old": 60, "young": 0}


def test_the_log_says_what_is_missing_where_nothing_can_be_proved(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Without HTTPS there is no canary, and nothing falls in a quiet country."""
    for name in ("home", "friend"):
        desk.send(name)
        desk.heard(name)
    desk.enroll("friend")
    desk.heard("home", "friend", at=START + 6 * DAY)
    assert "nothing proves" not in caplog.text
    desk.heard("home", "friend", at=START + 8 * DAY)
    assert "1 agents do not count: nothing proves that they measure; set fleet.url" in caplog.text
    (listed,) = (one for one in desk.agents(START + 8 * DAY) if one.name == "friend")
    assert (listed.weight, listed.is_unproved) == (PROVISIONAL_WEIGHT, True)


def test_late_rows_of_yesterday_do_not_begin_a_day_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.send("home")
    begun: list[datetime] = []
    monkeypatch.setattr(desk.log, "sum_old_proofs", begun.append)
    for days in (0, 1, 0, 1, 0, 2):
        desk.heard("home", at=START + days * DAY)
    assert [day.day for day in begun] == [8, 9, 10]
