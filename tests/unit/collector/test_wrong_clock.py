"""A collector whose own clock is wrong: what it closes, answers, records and takes back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from batch_counts import count_batches
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ingest_rig import WIDTH, IngestRig, answered

from netwatch.collector.clock_guard import ClockGuard
from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import by_label
from netwatch.collector.registry import InvitationScope, Registry
from netwatch.model.clock_samples import ClockSample, ClockSegment
from netwatch.model.measurement import Batch, Target, Vantage
from netwatch.model.steady_clock import SteadyClock
from netwatch.model.time import to_millis
from netwatch.protocols import Message
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.enrollment import EnrollmentRequest
from netwatch.wire.signing import Signer
from netwatch.wire.topics import batch_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
GRACE = timedelta(seconds=30)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500)}
OWN = "00000000000000ff"


class Station(IngestRig):
    """A collector with its guard, and invited agents; `error` is that of its system clock."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, START, BOOK)
        self.folder = folder
        self.signers: dict[str, Signer] = {}
        self.sequence = 0
        self.start(error=timedelta(0))

    def start(self, *, error: timedelta, boot: str = OWN) -> None:
        """Start a new process on the same files, in this boot of the machine."""
        self.error = error
        self.clock = SteadyClock(lambda: self.now + self.error, lambda: self.now.timestamp() - 9e8)
        self.guard = ClockGuard(
            self.clock, self.batch_log, own_boot=lambda _: boot, metrics=self.metrics
        )
        self.guard.resume()
        self.ingest = Ingest(
            self.batch_log,
            width=WIDTH,
            clock=self.clock,
            metrics=self.metrics,
        )
        self.ingest.fleet_time = self.guard.fleet
        self.reopen()

    def invite(self, name: str) -> None:
        self.signers[name] = Signer(Ed25519PrivateKey.generate())
        request = EnrollmentRequest(b"", b"", name, "IR", 64500, "", 1, "")
        with Registry(self.folder / "batches.sqlite") as registry:
            registry.invite(name.encode(), InvitationScope(), now=START, length=9999 * DAY)
            key = self.signers[name].public
            registry.enroll(name.encode(), request, key=key, now=START)

    def batch(self, name: str, time: datetime, *, wall: datetime, boot: str = "0a") -> Message:
        """Return a batch of one measurement by an agent whose clock shows `wall`."""
        self.sequence += 1
        shift = to_millis(wall) - 5000
        sample = ClockSample(boot * 8, 5000, to_millis(wall))
        rows = (answered(time),)
        segments = (ClockSegment(boot * 8, shift, 0, 1),)
        vantage = Vantage(name, "IR", 64500)
        batch = Batch(vantage, self.sequence, rows, (), segments, (sample,))
        signer = self.signers.setdefault(name, Signer(Ed25519PrivateKey.generate()))
        return Message(batch_topic(name), BATCH.pack(batch, signer))

    def hear(self, *names: str, late: timedelta = timedelta(0)) -> None:
        """Receive a batch of each agent, by right clocks, and let ten seconds pass."""
        wall = self.now - late
        self.receive(*(self.batch(name, wall, wall=wall) for name in names))
        self.now += timedelta(seconds=11)
        self.guard.bound(self.closer.until, GRACE)

    def tick(self) -> bool:
        """Do what the collector's loop does in each turn; return whether it may close bins."""
        bound = self.guard.bound(self.closer.until, GRACE)
        if bound is None:
            return False
        if self.closer.until is not None and bound < self.closer.until:
            self.closer.reopen(bound)
        self.closer.close(bound)
        self.closer.recount_late()
        return True


@pytest.fixture
def station(tmp_path: Path) -> Station:
    made = Station(tmp_path)
    for name in ("a1", "a2", "a3"):
        made.invite(name)
    made.store.put_bins([], closed_until=START - WIDTH)
    made.reopen()
    return made


def test_a_jump_closes_nothing_of_the_future(station: Station) -> None:
    station.hear("a1", "a2", "a3")
    station.now += WIDTH
    assert station.tick()
    assert station.closer.until == START
    station.error = DAY
    station.now += WIDTH
    assert station.tick()
    assert station.closer.until == START + WIDTH
    assert by_label(station.metrics.alerts)["clock"] == 1
    station.error = timedelta(0)
    station.now += WIDTH
    assert station.tick()
    assert station.closer.until == START + 2 * WIDTH


@pytest.mark.parametrize("error", [DAY, -6 * HOUR])
def test_agents_say_that_the_clock_of_a_new_start_is_wrong(
    station: Station, error: timedelta
) -> None:
    """Nothing is closed, no time is acknowledged, and what seems to be of the future waits."""
    station.hear("a1", "a2", "a3")
    station.now += WIDTH
    assert station.tick()
    before = station.closer.until
    station.now += 9 * HOUR
    station.start(error=error, boot="another boot")
    station.hear("a1", "a2", "a3")
    assert not station.tick()
    assert station.closer.until == before
    assert "those of the agents; no bin is closed" not in station.clock.notice
    assert "those of the agents" in station.clock.notice
    (message,) = [station.batch("a1", station.now, wall=station.now)]
    acks = station.receive(message)
    if error < timedelta(0):
        assert acks == []
    else:
        assert [ack.time_ms for ack in acks] == [0]
    station.error = timedelta(0)
    station.hear("a2", "a3")
    assert station.tick()
    assert station.receive_flat(message)[1] == []
    assert not station.clock.in_doubt
    assert station.clock() == station.now


def test_a_restart_in_the_wrong_period_keeps_the_time(station: Station) -> None:
    station.hear("a1")
    station.tick()
    station.start(error=DAY)
    station.now += WIDTH
    assert station.tick()
    assert station.closer.until == START
    assert "jumped by +24 h" in station.clock.notice


def test_keys_without_an_invitation_cannot_raise_a_doubt(station: Station) -> None:
    station.hear(*(f"x{number}" for number in range(50)), late=DAY)
    assert station.guard.fleet.line(station.batch_log.first_seen()) is None
    assert station.tick()


def test_agents_on_this_machine_are_no_evidence(station: Station) -> None:
    wall = station.now + DAY
    station.receive(
        *(station.batch(name, station.now, wall=wall, boot="ff") for name in ("a1", "a2", "a3"))
    )
    fleet = station.guard.fleet
    assert fleet.line(station.batch_log.first_seen()) is not None
    own = ClockGuard(
        station.clock, station.batch_log, own_boot=lambda _: "ff" * 8, metrics=station.metrics
    )
    station.ingest.fleet_time = own.fleet
    station.receive(
        *(station.batch(name, station.now, wall=wall, boot="ff") for name in ("a1", "a2", "a3"))
    )
    assert own.fleet.line(station.batch_log.first_seen()) is None


def test_a_backlog_is_no_evidence_once_new_batches_come(station: Station) -> None:
    station.hear("a1", "a2", "a3", late=3 * DAY)
    assert station.clock.in_doubt
    station.hear("a1", "a2", "a3")
    assert not station.clock.in_doubt
    assert station.tick()


def test_bins_of_the_future_are_taken_back_and_closed_again(station: Station) -> None:
    """What arrives meanwhile counts at once, as late; the rest in its time."""
    station.hear("a1", "a2", "a3")
    station.store.put_bins([], closed_until=START + 20 * HOUR)
    station.start(error=timedelta(0), boot="another boot")
    assert not station.tick()
    assert "bins are closed until 2026-01-09 12:30 UTC, which is in the future" in (
        station.clock.notice
    )
    assert by_label(station.metrics.alerts)["clock"] == 1
    (message,) = [station.batch("a1", station.now - WIDTH, wall=station.now)]
    assert station.receive_flat(message)[1] == []
    assert count_batches(station.batch_log) == 4
    station.hear("a1", "a2", "a3")
    assert station.tick()
    assert station.closer.until == START - WIDTH
    assert station.store.closed_until() == START - WIDTH
    assert station.clock.notice == ""
    station.now += 2 * WIDTH
    assert station.tick()
    assert station.closer.until == START + WIDTH


def test_without_agents_bins_of_the_future_are_taken_back_after_an_hour(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.store.put_bins([], closed_until=START + 20 * HOUR)
    station.start(error=timedelta(0), boot="another boot")
    station.now += HOUR - timedelta(seconds=1)
    assert not station.tick()
    station.now += timedelta(seconds=2)
    assert station.tick()
    assert station.closer.until is not None
    assert station.closer.until < station.now
