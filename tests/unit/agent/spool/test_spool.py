"""The spool: appending, flushing, sequences, and acknowledgements."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.agent.spool.spool import Spool
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Measurement, Observation, Vantage
from netwatch.wire.batch_codec import unpack_batch
from netwatch.wire.signing import MAX_MESSAGE_BYTES

CREATED_AT = datetime(2026, 1, 8, tzinfo=UTC)
VANTAGE = Vantage("a1", "IR", 44244)


def measurement(number: int, target: str = "one") -> Measurement:
    step = Observation("connect", None, 0.01)
    time = CREATED_AT + timedelta(seconds=number)
    return Measurement(
        target, "tcp", time, None, "", host_responded=True, seconds=0.01, observations=(step,)
    )


def spool(path: Path, created_at: datetime = CREATED_AT) -> Spool:
    return Spool(path / "spool.sqlite", vantage=VANTAGE, created_at=created_at)


def test_appended_measurements_are_flushed_once_in_order(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        opened.append([measurement(number) for number in range(3)])
        opened.append([measurement(3)])
        assert opened.flush() == 1
        assert opened.flush() == 0
        (sealed,) = opened.newest(5)
    batch = unpack_batch(sealed.payload)
    assert batch.sequence == sealed.sequence
    assert batch.vantage == VANTAGE
    assert [row.time for row in batch.measurements] == [measurement(n).time for n in range(4)]


def test_rows_and_batches_survive_reopening(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        opened.append([measurement(0)])
        opened.flush()
        opened.append([measurement(1)])
    with spool(tmp_path) as opened:
        assert opened.flush() == 1
        assert opened.count_pending() == 2


def test_a_sequence_is_never_reused(tmp_path: Path) -> None:
    used = set()
    for number in range(5):
        with spool(tmp_path) as opened:
            opened.append([measurement(number)])
            opened.flush()
            (sealed,) = opened.newest(1)
            assert sealed.sequence not in used
            used.add(sealed.sequence)
            assert opened.acknowledge([(sealed.sequence, sealed.sequence)]) == 1


def test_a_new_file_does_not_reuse_a_lost_files_sequences(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        for number in range(50):
            opened.append([measurement(number)])
            opened.flush()
        before = opened.newest(1)[0].sequence
    for name in tmp_path.iterdir():
        name.unlink()
    with spool(tmp_path, CREATED_AT + timedelta(seconds=2)) as opened:
        opened.append([measurement(0)])
        opened.flush()
        assert opened.newest(1)[0].sequence > before


def test_newest_and_oldest_exclude_batches_in_flight(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        for number in range(5):
            opened.append([measurement(number)])
            opened.flush()
        numbers = [batch.sequence for batch in opened.oldest(9)]
        assert numbers == sorted(numbers)
        newest = [batch.sequence for batch in opened.newest(2, exclude={numbers[4]})]
        assert newest == [numbers[3], numbers[2]]
        oldest = [batch.sequence for batch in opened.oldest(2, exclude={numbers[0], 1})]
        assert oldest == [numbers[1], numbers[2]]


def test_only_acknowledged_batches_are_deleted(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        for number in range(4):
            opened.append([measurement(number)])
            opened.flush()
        first, *_, last = [batch.sequence for batch in opened.oldest(9)]
        assert opened.acknowledge([(first, first + 1), (last + 5, last + 9)]) == 2
        assert opened.count_pending() == 2


def test_refused_batches_stay_but_are_not_pending(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        opened.append([measurement(0)])
        opened.flush()
        opened.refuse([(opened.newest(1)[0].sequence, "future")])
        assert opened.newest(5) == []
        assert opened.count_pending() == 0


def test_a_batch_always_fits_one_message(tmp_path: Path) -> None:
    """Measurements that compress badly are split into as many batches as needed."""
    with spool(tmp_path) as opened:
        names = [
            f"{number:04d}".join(chr(97 + (number * k) % 26) for k in range(30))
            for number in range(1200)
        ]
        opened.append([measurement(number, name[:128]) for number, name in enumerate(names)])
        assert opened.flush() >= 3
        sealed = opened.oldest(99)
    assert all(len(batch.payload) <= MAX_MESSAGE_BYTES for batch in sealed)
    assert sum(len(unpack_batch(batch.payload).measurements) for batch in sealed) == 1200


def test_a_full_file_gives_a_one_line_error_and_changes_nothing(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        opened.append([measurement(0)])
        opened._file.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match=r"spool\.sqlite: database or disk is full"):
            opened.append([measurement(number) for number in range(2000)])
        opened._file.execute("PRAGMA max_page_count = 100000")
        assert opened.flush() == 1
        assert len(unpack_batch(opened.newest(1)[0].payload).measurements) == 1
