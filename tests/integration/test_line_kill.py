"""kill -9 while measurements flow: nothing that was committed is lost, nothing counts twice."""

import multiprocessing
import os
import random
import signal
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.agent.spool.spool import Spool
from netwatch.collector.agent_tables import IngestResult
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.model.measurement import Measurement, Vantage
from netwatch.wire.batch_codec import unpack_batch

START = datetime(2026, 1, 8, tzinfo=UTC)
VANTAGE = Vantage("a1", "IR", 44244)
TOGETHER = 5
NUMBER = struct.Struct("!Q")


def open_spool(folder: Path) -> Spool:
    return Spool(folder / "spool.sqlite", vantage=VANTAGE, created_at=START)


def write_for_ever(folder: Path, first: int, pipe: int) -> None:
    """The agent: append, report what is committed, sometimes seal, until it is killed."""
    spool = open_spool(folder)
    number = first
    while True:
        rows = [
            Measurement(
                "one", "tcp", START + timedelta(milliseconds=number + place), None, "",
                host_responded=True, seconds=0.01,
            )
            for place in range(TOGETHER)
        ]  # fmt: skip
        spool.append(rows)
        number += TOGETHER
        os.write(pipe, NUMBER.pack(number))
        if random.random() < 0.3:
            spool.flush()


def run_and_kill(folder: Path, first: int, dice: random.Random) -> int:
    """Run an agent for a moment and kill it; return the last committed number."""
    reading, writing = os.pipe()
    process = multiprocessing.get_context("fork").Process(
        target=write_for_ever, args=(folder, first, writing)
    )
    process.start()
    os.close(writing)
    os.read(reading, NUMBER.size)
    time.sleep(dice.uniform(0, 0.02))
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    reported = bytearray()
    while part := os.read(reading, 65_536):
        reported += part
    os.close(reading)
    process.close()
    # The first number was read above; if nothing follows, it is the last.
    last = NUMBER.unpack(reported[-NUMBER.size :])[0] if reported else first + TOGETHER
    return int(last)


def deliver(spool: Spool, batch_log: BatchLog, dice: random.Random, share: float) -> None:
    """Send a share of the pending batches; some acknowledgements get lost."""
    for sealed in spool.oldest(10_000):
        if dice.random() < share:
            received = ReceivedBatch(unpack_batch(sealed.payload), sealed.payload, None, START)
            (result,) = batch_log.add([received], closed_until=None, width=timedelta(minutes=5))
            assert result in {IngestResult.STORED, IngestResult.REPEATED}
            if dice.random() < 0.7:
                spool.acknowledge([(sealed.sequence, sealed.sequence)])


def survive(folder: Path, kills: int) -> None:
    dice = random.Random(7)
    committed: set[int] = set()
    first = 0
    batch_log = BatchLog(folder / "batches.sqlite")
    for number in range(kills):
        last = run_and_kill(folder, first, dice)
        committed.update(range(first, last))
        # Rows that were appended but not yet reported may exist; the next numbers leave room.
        first = last + 100 * TOGETHER
        if number % 10 == 0:
            with open_spool(folder) as spool:
                deliver(spool, batch_log, dice, share=0.5)
    with open_spool(folder) as spool:
        spool.flush()
        spool._compact_if_full()
        while spool.count_pending():
            deliver(spool, batch_log, dice, share=1.0)
    end = START + timedelta(days=999)
    found = [round((row.time - START).total_seconds() * 1000) for _, row in
             batch_log.measurements(START, end)]  # fmt: skip
    batch_log.close()
    assert len(found) == len(set(found)), "something counts twice"
    assert committed <= set(found), "something committed is lost"
    assert len(committed) > kills * TOGETHER


@pytest.mark.timeout(60)
def test_sixty_kills(tmp_path: Path) -> None:
    survive(tmp_path, 60)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_thousand_kills(tmp_path: Path) -> None:
    survive(tmp_path, 1000)
