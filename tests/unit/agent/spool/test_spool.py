from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.agent.spool.spool import Spool
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Measurement, Observation, Vantage
from netwatch.wire.batch_codec import MAX_MESSAGE_BYTES, unpack_batch

BORN = datetime(2026, 1, 8, tzinfo=UTC)
VANTAGE = Vantage("a1", "IR", 44244)


def measurement(number: int, target: str = "one") -> Measurement:
    step = Observation("connect", None, 0.01)
    time = BORN + timedelta(seconds=number)
    return Measurement(
        target, "tcp", time, None, "", host_responded=True, seconds=0.01, observations=(step,)
    )


def spool(path: Path, born: datetime = BORN) -> Spool:
    return Spool(path / "spool.sqlite", vantage=VANTAGE, created_at=born)


def test_what_is_appended_is_sealed_once_in_order(tmp_path: Path) -> None:
    with spool(tmp_path) as kept:
        kept.append([measurement(number) for number in range(3)])
        kept.append([measurement(3)])
        assert kept.flush() == 1
        assert kept.flush() == 0
        (sealed,) = kept.newest(5)
    batch = unpack_batch(sealed.payload)
    assert batch.sequence == sealed.sequence
    assert batch.vantage == VANTAGE
    assert [found.time for found in batch.measurements] == [measurement(n).time for n in range(4)]


def test_rows_and_batches_survive_reopening(tmp_path: Path) -> None:
    with spool(tmp_path) as kept:
        kept.append([measurement(0)])
        kept.flush()
        kept.append([measurement(1)])
    with spool(tmp_path) as kept:
        assert kept.flush() == 1
        assert kept.count_pending() == 2


def test_a_sequence_is_never_used_again(tmp_path: Path) -> None:
    used = set()
    for number in range(5):
        with spool(tmp_path) as kept:
            kept.append([measurement(number)])
            kept.flush()
            (sealed,) = kept.newest(1)
            assert sealed.sequence not in used
            used.add(sealed.sequence)
            assert kept.acknowledge([(sealed.sequence, sealed.sequence)]) == 1


def test_a_new_file_does_not_use_the_lost_ones_sequences(tmp_path: Path) -> None:
    with spool(tmp_path) as kept:
        for number in range(50):
            kept.append([measurement(number)])
            kept.flush()
        before = kept.newest(1)[0].sequence
    for name in tmp_path.iterdir():
        name.unlink()
    with spool(tmp_path, BORN + timedelta(seconds=2)) as kept:
        kept.append([measurement(0)])
        kept.flush()
        assert kept.newest(1)[0].sequence > before


def test_newest_and_oldest_leave_out_what_is_under_way(tmp_path: Path) -> None:
    with spool(tmp_path) as kept:
        for number in range(5):
            kept.append([measurement(number)])
            kept.flush()
        numbers = [found.sequence for found in kept.oldest(9)]
        assert numbers == sorted(numbers)
        newest = [found.sequence for found in kept.newest(2, exclude={numbers[4]})]
        assert newest == [numbers[3], numbers[2]]
        oldest = [found.sequence for found in kept.oldest(2, exclude={numbers[0], 1})]
        assert oldest == [numbers[1], numbers[2]]


def test_only_acknowledged_batches_are_forgotten(tmp_path: Path) -> None:
    with spool(tmp_path) as kept:
        for number in range(4):
            kept.append([measurement(number)])
            kept.flush()
        first, *_, last = [found.sequence for found in kept.oldest(9)]
        assert kept.acknowledge([(first, first + 1), (last + 5, last + 9)]) == 2
        assert kept.count_pending() == 2


def test_refused_batches_are_kept_but_not_sent(tmp_path: Path) -> None:
    with spool(tmp_path) as kept:
        kept.append([measurement(0)])
        kept.flush()
        kept.refuse([(kept.newest(1)[0].sequence, "future")])
        assert kept.newest(5) == []
        assert kept.count_pending() == 0


def test_a_batch_never_outgrows_a_message(tmp_path: Path) -> None:
    """Rows that do not compress are cut into as many batches as it takes."""
    with spool(tmp_path) as kept:
        names = [
            f"{number:04d}".join(chr(97 + (number * k) % 26) for k in range(30))
            for number in range(1200)
        ]
        kept.append([measurement(number, name[:128]) for number, name in enumerate(names)])
        assert kept.flush() >= 3
        sealed = kept.oldest(99)
    assert all(len(found.payload) <= MAX_MESSAGE_BYTES for found in sealed)
    assert sum(len(unpack_batch(found.payload).measurements) for found in sealed) == 1200


def test_a_full_file_is_one_clear_error_and_changes_nothing(tmp_path: Path) -> None:
    with spool(tmp_path) as kept:
        kept.append([measurement(0)])
        kept._file.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match=r"spool\.sqlite: database or disk is full"):
            kept.append([measurement(number) for number in range(2000)])
        kept._file.execute("PRAGMA max_page_count = 100000")
        assert kept.flush() == 1
        assert len(unpack_batch(kept.newest(1)[0].payload).measurements) == 1
