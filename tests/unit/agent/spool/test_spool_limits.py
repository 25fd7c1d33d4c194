"""A full, damaged or truncated spool loses nothing that was committed."""

import random
import shutil
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.agent.spool import spool as spool_module
from netwatch.agent.spool.spool import Spool
from netwatch.collector.agent_tables import IngestResult
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Measurement, Observation, Vantage
from netwatch.model.time import floor_time
from netwatch.wire import batch_codec
from netwatch.wire.batch_codec import pack_batch, unpack_batch

CREATED_AT = datetime(2026, 1, 8, tzinfo=UTC)
VANTAGE = Vantage("a1", "IR", 44244)
MIB = 1024 * 1024
WIDTH = timedelta(minutes=5)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.name.endswith(("te", "al")))


def row(second: float, target: str, failure: str | None, seconds: float) -> Measurement:
    step = Observation("connect", failure, seconds)
    scope = "timeout" if failure else ""
    time = CREATED_AT + timedelta(seconds=second)
    return Measurement(target, "tcp", time, failure, scope, failure is None, seconds, (step,))


def simulate(hours: float, seed: int = 7) -> list[Measurement]:
    """One measurement a second of 60 targets: mostly successful, with a cut in the middle."""
    random_source = random.Random(seed)
    rows = []
    for second in range(int(hours * 3600)):
        cut = hours / 3 < second / 3600 < hours * 2 / 3
        failure = "generic_timeout_error" if cut or random_source.random() < 0.002 else None
        rows.append(
            row(second, f"target-{second % 60}", failure, random_source.lognormvariate(-3.5, 0.8))
        )
    return rows


def contents(spool: Spool) -> list[Measurement]:
    sealed = spool.oldest(1_000_000)
    return [row for batch in sealed for row in unpack_batch(batch.payload).measurements]


def five_minutes(rows: list[Measurement]) -> Counter[object]:
    total: Counter[object] = Counter()
    for one in rows:
        total[one.target, one.failure, floor_time(one.time, WIDTH)] += one.weight
    return total


def changes(rows: list[Measurement]) -> set[object]:
    """The times at which each target's outcome changed."""
    changed: set[object] = set()
    last: dict[str, str | None] = {}
    for one in sorted(rows, key=lambda one: one.time):
        if one.target not in last or last[one.target] != one.failure:
            changed.add((one.target, one.failure, one.time))
        last[one.target] = one.failure
    return changed


def fill(spool: Spool, rows: list[Measurement], folder: Path, limit: int, every: int = 60) -> None:
    for first in range(0, len(rows), every):
        spool.append(rows[first : first + every])
        spool.flush()
        assert size(folder) <= limit


@pytest.mark.timeout(60)
def test_a_full_spool_downsamples_and_keeps_every_change_and_five_minute_count(
    tmp_path: Path,
) -> None:
    rows = simulate(24)
    with Spool(
        tmp_path / "spool.sqlite", vantage=VANTAGE, created_at=CREATED_AT, limit=MIB
    ) as spool:
        fill(spool, rows, tmp_path, MIB)
        remaining = contents(spool)
        state = spool.state()
    assert state.used_bytes <= state.limit_bytes
    assert sum(state.levels[1:]) > 0, "nothing was downsampled: the test shows nothing"
    assert five_minutes(remaining) == five_minutes(rows)
    assert changes(remaining) == changes(rows)


def test_a_merged_batch_names_no_more_ranges_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other batch was acknowledged, so that no two of the others are adjacent."""
    monkeypatch.setattr(spool_module, "_FRESH_BATCHES", 0)
    path = tmp_path / "spool.sqlite"
    with Spool(path, vantage=VANTAGE, created_at=CREATED_AT) as spool:
        pending = []
        for number in range(1_700):
            spool.append([row(number, "one", None, 0.1)])
            spool.flush()
            sequence = spool.newest(1)[0].sequence
            if number % 2:
                spool.acknowledge([(sequence, sequence)])
            else:
                pending.append(sequence)
        while spool._compact():
            pass
        assert sum(spool.state().levels[2:]) > 1
        batches = [unpack_batch(one.payload) for one in spool.oldest(9_999)]
        assert max(len(one.supersedes) for one in batches) <= 403
        named = {pair for one in batches for pair in one.supersedes}
        kept = {one.sequence for one in batches}
        assert all((one, one) in named for one in pending if one not in kept)
        assert sum(one.weight for one in contents(spool)) == len(pending)


def test_a_batch_of_an_earlier_version_with_too_many_ranges_is_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_FRESH_BATCHES", 0)
    ranges = tuple((number, number) for number in range(0, 2_600, 2))
    with Spool(tmp_path / "spool.sqlite", vantage=VANTAGE, created_at=CREATED_AT) as spool:
        for number in range(20):
            spool.append([row(number, "one", None, 0.1)])
            spool.flush()
        oldest = spool.oldest(1)[0]
        with monkeypatch.context() as earlier:
            earlier.setattr(batch_codec, "MAX_SUPERSEDED", 5_000)
            payload = pack_batch(replace(unpack_batch(oldest.payload), supersedes=ranges))
        query = "UPDATE batch SET payload = ?, level = 1 WHERE sequence = ?"
        spool._file.execute(query, (payload, oldest.sequence))
        while spool._compact():
            pass
        batches = [unpack_batch(one.payload) for one in spool.oldest(9_999)]
        assert max(len(one.supersedes) for one in batches) <= 500
        assert set(ranges) <= {pair for one in batches for pair in one.supersedes}
        assert len(contents(spool)) == 20


@pytest.mark.long
@pytest.mark.timeout(900)
def test_three_days_cut_off_within_four_mebibytes(tmp_path: Path) -> None:
    rows = simulate(72)
    with Spool(
        tmp_path / "spool.sqlite", vantage=VANTAGE, created_at=CREATED_AT, limit=4 * MIB
    ) as spool:
        fill(spool, rows, tmp_path, 4 * MIB, every=10)
        remaining = contents(spool)
    assert five_minutes(remaining) == five_minutes(rows)
    assert changes(remaining) == changes(rows)


def test_a_downsampled_batch_supersedes_its_sources(tmp_path: Path) -> None:
    """The collector may have, or later receive, some of the sources: no count is doubled."""
    rows = simulate(1)
    with (
        Spool(tmp_path / "spool.sqlite", vantage=VANTAGE, created_at=CREATED_AT) as spool,
        BatchLog(tmp_path / "batches.sqlite") as batch_log,
    ):
        for first in range(0, len(rows), 60):
            spool.append(rows[first : first + 60])
            spool.flush()
        raw = spool.oldest(999)
        early, late = raw[:20], raw[20:40]

        def store(payloads: list[bytes]) -> list[IngestResult]:
            received = [ReceivedBatch(unpack_batch(one), one, None, CREATED_AT) for one in payloads]
            return batch_log.add(
                received, closed_until=CREATED_AT + timedelta(hours=1), width=WIDTH
            )

        def inside() -> Counter[object]:
            end = CREATED_AT + timedelta(days=1)
            return five_minutes([one for _, one in batch_log.measurements(CREATED_AT, end)])

        assert set(store([one.payload for one in early])) == {IngestResult.STORED}
        for _ in range(2):
            spool._compact()
        downsampled = spool.oldest(999)
        assert len(downsampled) < len(raw) / 4
        batch_log.clear_late(batch_log.late_bins())
        assert set(store([one.payload for one in downsampled])) == {IngestResult.STORED}
        assert inside() == five_minutes(rows)
        assert set(store([one.payload for one in late])) == {IngestResult.REPEATED}
        assert inside() == five_minutes(rows)
        assert batch_log.late_bins()[0] == CREATED_AT


@pytest.mark.parametrize("damage", ["header", "middle", "empty", "text"])
def test_a_damaged_file_is_moved_and_refolderd(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "spool.sqlite"
    with Spool(path, vantage=VANTAGE, created_at=CREATED_AT) as spool:
        fill(spool, simulate(0.5), tmp_path, 64 * MIB)
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[:100] = bytes(100)
    elif damage == "middle":
        for folder in range(4096, len(data), 4096):
            data[folder : folder + 2000] = random.Random(1).randbytes(2000)
    path.write_bytes({"empty": b"", "text": b"hello" * 999}.get(damage, bytes(data)))
    with Spool(path, vantage=VANTAGE, created_at=CREATED_AT + timedelta(days=1)) as spool:
        spool.append(simulate(0.01))
        assert spool.flush() == 1
    if damage != "empty":  # an empty file is a new one
        assert "is damaged" in caplog.text
        assert list(tmp_path.glob("spool.sqlite.damaged-20260109T000000"))


def test_a_truncated_log_loses_only_the_last_commits(tmp_path: Path) -> None:
    """After a power loss the write-ahead log ends anywhere; 200 such files open, with no gap."""
    home = tmp_path / "home"
    home.mkdir()
    spool = Spool(home / "spool.sqlite", vantage=VANTAGE, created_at=CREATED_AT)
    for number in range(40):
        spool.append([row(number, "one", None, 0.01)])
        if number % 7 == 0:
            spool.flush()
    whole = {path.name: path.read_bytes() for path in home.iterdir()}
    spool.close()
    log = whole["spool.sqlite-wal"]
    random_source = random.Random(7)
    counts = []
    for number in range(200):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "spool.sqlite").write_bytes(whole["spool.sqlite"])
        (folder / "spool.sqlite-wal").write_bytes(log[: random_source.randrange(len(log) + 1)])
        with Spool(folder / "spool.sqlite", vantage=VANTAGE, created_at=CREATED_AT) as opened:
            opened.flush()
            seconds = sorted((one.time - CREATED_AT).total_seconds() for one in contents(opened))
        assert seconds == list(range(len(seconds))), "a gap or a duplicate"
        counts.append(len(seconds))
        shutil.rmtree(folder)
    assert max(counts) > 30


def test_a_full_disk_is_an_error_and_the_spool_continues_afterwards(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.sqlite", vantage=VANTAGE, created_at=CREATED_AT) as spool:
        spool.append(simulate(0.01))
        before = spool.state().used_bytes
        spool._file.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreError, match="full"):
            spool.append(simulate(2))
        spool._file.execute("PRAGMA max_page_count = 100000")
        assert spool.state().used_bytes == before
        spool.append(simulate(0.01))
        assert spool.flush() == 1
