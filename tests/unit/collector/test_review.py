"""Late measurements of closed bins: what counts at once, and what waits for a person."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ingest_rig import WIDTH, IngestRig, answered

from netwatch.collector.metrics import by_label
from netwatch.collector.review import AmendmentReview
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.amendment import Amendment, AmendmentState, by_hour
from netwatch.model.entities import Entity
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch, Measurement, Target, Vantage
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import REACHABILITY
from netwatch.protocols import Message
from netwatch.store.memory import MemoryStore
from netwatch.wire.batch_codec import pack_batch
from netwatch.wire.topics import batch_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
NETWORK = SeriesKey(REACHABILITY, Entity.parse("asn:64500"))
NATION = SeriesKey(REACHABILITY, Entity.parse("country:XX"))
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500, country="XX")}
PENDING, ACCEPTED = {AmendmentState.PENDING}, {AmendmentState.ACCEPTED}


def failed(time: datetime) -> Measurement:
    return Measurement(
        "one", "tcp", time, "connect_timeout", "remote", host_responded=False, seconds=1
    )


class Office(IngestRig):
    """A collector whose closed bins are reviewed; a bin was judged when `judge` was called."""

    def __init__(self, folder: Path) -> None:
        self.ledger = SqlLedger(ledger_url(folder / "ledger.sqlite"))
        self.sequence = 0
        super().__init__(folder, START, BOOK)

    def reopen(self) -> None:
        super().reopen()
        self.closer.review = AmendmentReview(
            self.store, self.ledger.amendments, width=WIDTH, clock=lambda: self.now
        )

    def say(self, *rows: Measurement, sender: str = "a1", network: int = 64501) -> None:
        """Receive a batch, and count its late rows."""
        self.sequence += 1
        batch = Batch(Vantage(sender, "XX", network), self.sequence, rows)
        assert self.receive(Message(batch_topic(sender), pack_batch(batch)))
        while self.closer.recount_late():
            pass

    def judge(self, value: float, low: float, high: float, *, bins: int = 1) -> None:
        """Close all bins before now; the newest ones were judged with this level."""
        self.closer.close(self.now)
        for number in range(1, bins + 1):
            time = self.now - number * WIDTH
            self.store.put_levels([Level(time, key, value, low, high) for key in (NETWORK, NATION)])

    def counts(self, key: SeriesKey = NETWORK) -> list[tuple[float, float | None]]:
        found = self.store.read_bins(START - timedelta(days=4), START + WIDTH, series=key)
        return [(one.value, one.total) for one in found]

    def levels(self) -> list[float | None]:
        found = self.store.read_levels(START - timedelta(days=4), START, series=NETWORK)
        return [one.value for one in found]

    def pending(self) -> list[Amendment]:
        return self.ledger.amendments.read(PENDING)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.ledger.close()


def during(minutes: float) -> datetime:
    return START - timedelta(minutes=minutes)


def test_a_move_within_the_interval_counts_at_once(office: Office) -> None:
    office.say(*[answered(during(4))] * 9, failed(during(3)))
    office.judge(0.9, 0.6, 1.0)
    office.say(answered(during(2)))
    assert office.counts() == [(10.0, 11.0)]
    assert office.pending() == []


def test_a_move_beyond_the_interval_waits_and_nothing_is_lost(office: Office) -> None:
    """The store keeps bin and level of then, the raw log has every row."""
    office.say(*[answered(during(4))] * 10)
    office.judge(1.0, 0.8, 1.1)
    office.say(*[failed(during(3))] * 30)
    assert office.counts() == [(10.0, 10.0)]
    assert office.levels() == [1.0]
    nation, network = sorted(office.pending(), key=lambda one: str(one.series.entity))[::-1]
    assert {nation.series, network.series} == {NATION, NETWORK}
    assert (network.then, network.now, network.late_share) == (1.0, 0.25, 0.75)
    assert (network.owners, network.networks) == (1, 1)
    assert by_label(office.metrics.intervals)["amended"] == 2
    assert len(list(office.batch_log.measurements(during(5), START))) == 40


def test_an_amendment_counts_the_networks_of_late_senders_alone(office: Office) -> None:
    office.say(*[failed(during(4))] * 5)
    office.judge(0.0, 0.0, 0.1)
    office.say(*[answered(during(3))] * 15, sender="a2", network=64502)
    assert [(one.owners, one.networks) for one in office.pending()] == [(1, 1), (1, 1)]


def test_many_small_moves_are_one_large_move(office: Office) -> None:
    """Each is measured from what was judged, also after an amendment."""
    office.say(*[answered(during(4))] * 10)
    office.judge(1.0, 0.8, 1.1)
    for _ in range(10):
        office.say(*[failed(during(3))] * 2)
    ((value, total),) = office.counts()
    assert total is not None
    assert value / total >= 0.8
    assert [round(one.now, 3) for one in office.pending()] == [0.333, 0.333]
    office.ledger.amendments.decide(office.pending(), AmendmentState.ACCEPTED, at=START)
    office.closer.recount_late()
    assert office.counts() == [(10.0, 30.0)]
    for _ in range(30):
        office.say(*[failed(during(3))] * 2)
    ((value, total),) = office.counts()
    assert total is not None
    assert value / total > 0.1
    assert office.pending()


def test_a_rejected_bin_stays_when_later_rows_come_back_to_its_level(office: Office) -> None:
    office.say(*[answered(during(4))] * 10)
    office.judge(1.0, 0.8, 1.1)
    office.say(*[failed(during(3))] * 30)
    office.ledger.amendments.decide(office.pending(), AmendmentState.REJECTED, at=START)
    office.say(*[answered(during(2))] * 140)
    assert office.counts() == [(10.0, 10.0)]


def test_bins_that_are_opened_again_are_no_longer_under_review(office: Office) -> None:
    office.say(*[answered(during(4))] * 10)
    office.judge(1.0, 0.8, 1.1)
    office.say(*[failed(during(3))] * 30)
    office.closer.reopen(START - WIDTH)
    assert office.pending() == []
    office.closer.close(START)
    assert office.counts() == [(10.0, 40.0)]


def test_more_late_rows_may_bring_it_back_into_the_interval(office: Office) -> None:
    office.say(*[answered(during(4))] * 10)
    office.judge(1.0, 0.8, 1.1)
    office.say(*[failed(during(3))] * 10)
    assert [one.now for one in office.pending()] == [0.5, 0.5]
    office.say(*[answered(during(2))] * 60)
    assert office.pending() == []
    assert office.counts() == [(70.0, 80.0)]


def test_an_accepted_amendment_is_written(office: Office) -> None:
    office.say(*[failed(during(4))] * 5, *[answered(during(4))] * 5)
    office.judge(0.5, 0.4, 0.6)
    office.say(*[answered(during(3))] * 30)
    office.ledger.amendments.decide(office.pending(), AmendmentState.ACCEPTED, at=START)
    office.closer.recount_late()
    assert office.counts() == office.counts(NATION) == [(35.0, 40.0)]
    assert office.levels() == [0.875]
    assert office.ledger.amendments.read(PENDING | ACCEPTED) == []
    office.say(answered(during(3)))
    assert office.counts() == [(36.0, 41.0)]


def test_a_rejected_amendment_stays_rejected(office: Office) -> None:
    office.say(*[answered(during(4))] * 10)
    office.judge(1.0, 0.8, 1.1)
    office.say(*[failed(during(3))] * 30)
    office.ledger.amendments.decide(office.pending(), AmendmentState.REJECTED, at=START)
    office.say(*[failed(during(3))] * 30)
    assert office.counts() == [(10.0, 10.0)]
    assert office.pending() == []
    assert len(office.ledger.amendments.read({AmendmentState.REJECTED})) == 2


def test_a_loss_of_everything_can_be_amended(office: Office) -> None:
    """Without an answer then, a share of one is taken as ordinary."""
    office.say(*[failed(during(4))] * 5)
    office.judge(0.0, 0.0, 0.1)
    office.say(*[answered(during(3))] * 15)
    assert [one.now for one in office.pending()] == [0.75, 0.75]


def test_what_a_fleet_brings_after_three_days_fills_its_gap_at_once(office: Office) -> None:
    """Where nothing was known, nothing that was said is changed."""
    office.say(answered(during(4 * 24 * 60 - 2)))
    office.closer.close(START)
    rows = [answered(during(60 * hour + 2)) for hour in range(1, 72)]
    office.say(*rows)
    while office.closer.recount_late():
        pass
    assert len(office.counts()) == 72
    assert office.pending() == []


def test_bins_are_listed_by_hour(office: Office) -> None:
    office.say(*(answered(during(after)) for after in range(1, 30)))
    office.judge(1.0, 0.9, 1.1, bins=6)
    office.say(*(failed(during(after)) for after in range(1, 30)))
    hours = [one for one in by_hour(office.pending()) if one.series == NETWORK]
    assert [(one.start.hour, one.bins, one.then, one.now) for one in hours] == [(16, 6, 1.0, 0.5)]


class FullStore(MemoryStore):
    """Takes no more levels, as a server does of times before its retention."""

    def put_levels(self, levels: Sequence[Level]) -> None:
        raise InputError(f"not stored: {len(levels)} points beyond retention policy")


def test_an_accepted_amendment_that_the_store_refuses_ends_nothing(office: Office) -> None:
    office.say(*[failed(during(4))] * 5)
    office.judge(0.0, 0.0, 0.1)
    office.say(*[answered(during(3))] * 15)
    office.ledger.amendments.decide(office.pending(), AmendmentState.ACCEPTED, at=START)
    office.store.__class__ = FullStore
    office.closer.recount_late()
    assert by_label(office.metrics.intervals)["refused"] == 1
    assert office.ledger.amendments.read(PENDING | ACCEPTED) == []
    assert len(office.ledger.amendments.read({AmendmentState.REJECTED})) == 2


def test_many_accepted_amendments_are_written_a_few_at_a_time(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches wait meanwhile."""
    office.say(*(failed(during(after)) for after in range(1, 30)))
    office.judge(0.0, 0.0, 0.1, bins=6)
    office.say(*(answered(during(after)) for after in range(1, 30)))
    office.ledger.amendments.decide(office.pending(), AmendmentState.ACCEPTED, at=START)
    monkeypatch.setattr("netwatch.collector.bin_closer._MAX_LATE_SECONDS", -1.0)
    office.closer.recount_late()
    assert len(office.ledger.amendments.read(ACCEPTED)) == 10
    for _ in range(5):
        office.closer.recount_late()
    assert office.ledger.amendments.read(ACCEPTED) == []
