"""Attacks on a collector by agents and from the network."""

import secrets
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from ingest_rig import WIDTH, answered

from netwatch.agent.enrollment_client import change_key, erase
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.collector.registry import InvitationScope, Registry
from netwatch.model.clock_samples import ClockSegment
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.protocols import Message
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.topics import batch_topic
from tests.unit.collector.test_enrollment_service import Office, identity

DAY = timedelta(days=1)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def row(office: Office, after: timedelta) -> Measurement:
    return answered(office.now + after)


@pytest.mark.parametrize("shift", [2**42, -(2**42), 0])
@pytest.mark.parametrize("after", [9 * DAY, -9000 * DAY])
def test_a_timeline_cannot_bring_in_times_far_away(
    office: Office, shift: int, after: timedelta
) -> None:
    lines = (ClockSegment("", shift, 0, 1),)
    batch = Batch(Vantage("a1", "XX", 64501), 1, (row(office, after),), clock_segments=lines)
    office.closer.until = office.now
    message = Message(batch_topic("a1"), BATCH.pack(batch, identity().signer))
    office.receive(message)
    assert office.batch_log.late_bins() == []
    assert (
        list(office.batch_log.measurements(office.now - 10_000 * DAY, office.now + 10 * DAY)) == []
    )


async def test_a_used_token_neither_restores_a_retired_agent_nor_moves_one(
    office: Office,
) -> None:
    ours, invitation = identity(), office.invite()
    await office.enroll(invitation, ours)
    await office.enroll(invitation, ours)  # the answer was lost: that is no crime
    with pytest.raises(InputError, match="used already"):
        await office.enroll(invitation, ours, country="YY")
    with Registry(office.file) as registry:
        registry.retire("a1", now=office.now)
    with pytest.raises(InputError, match="used already"):
        await office.enroll(invitation, ours)
    assert office.agents() == {"a1": "retired"}
    await office.enroll(office.invite(), ours)
    assert office.agents() == {"a1": "enrolled"}


async def test_a_replayed_enrollment_does_not_restore_an_old_key(
    office: Office,
) -> None:
    lost, stolen, ours = identity(), identity(), identity()
    await office.enroll(office.invite(), lost)
    enrollment = await office.enroll(office.invite(InvitationScope(replaces="a1")), stolen)
    request = office.seen[-1]
    await change_key(enrollment, "a1", old=stolen, new=ours, send=office.send)
    office.desk.read_enrollment(request).grant()
    office.now += 2 * DAY
    assert office.take(ours, 1) == ([1], [])
    assert office.take(stolen, 2) == ([], [])


async def test_an_erased_agent_is_in_no_table_and_stays_erased(office: Office) -> None:
    first, ours = identity(), identity()
    enrollment = await office.enroll(office.invite(), first, name="gone-1")
    request = office.seen[-1]
    await office.enroll(office.invite(InvitationScope(replaces="gone-1")), first, name="gone-1")
    await change_key(enrollment, "gone-1", old=first, new=ours, send=office.send)
    office.take(ours, 1, name="gone-1")
    await erase(enrollment, "gone-1", identity=ours, send=office.send)
    # What was still under way, or comes from an agent that nobody stopped yet, is not kept.
    assert office.take(ours, 2, name="gone-1") == ([], ["retired"])
    office.desk.read_enrollment(request).grant()
    assert office.agents() == {}
    office.batch_log.close()
    stored = b"".join(path.read_bytes() for path in office.file.parent.iterdir())
    assert b"gone-1" not in stored
    assert ours.signer.public not in stored
    assert first.signer.public not in stored


def test_the_record_of_an_erasure_expires_after_a_day(office: Office) -> None:
    """A day by the collector's clock, whatever the system clock was set to."""
    ours = identity()
    office.take(ours, 1)
    office.batch_log.erase("a1", now=office.now)
    assert office.take(ours, 2) == ([], ["retired"])
    office.now += timedelta(hours=23)
    office.batch_log.erase("nobody", now=office.now)
    assert office.take(ours, 2) == ([], ["retired"])
    office.now += timedelta(hours=2)
    assert office.take(ours, 3) == ([3], [])
    office.batch_log.erase("nobody", now=office.now)
    with closing(sqlite3.connect(office.file)) as file:
        assert file.execute("SELECT count(*) FROM erased").fetchone() == (0,)


def test_batches_added_while_late_bins_are_counted_are_not_lost(
    office: Office,
) -> None:
    office.closer.until = office.now + DAY
    office.take(identity(), 1)
    late = office.batch_log.late_bins()
    assert late
    with BatchLog(office.file) as other:
        batch = Batch(Vantage("a2"), 1, (row(office, -timedelta(minutes=1)),))
        other.add(
            [ReceivedBatch(batch, secrets.token_bytes(9), None, office.now)],
            closed_until=office.closer.until,
            width=WIDTH,
        )
    office.batch_log.clear_late(late)
    assert office.batch_log.late_bins() == late
    office.batch_log.clear_late(office.batch_log.late_bins())
    assert office.batch_log.late_bins() == []
