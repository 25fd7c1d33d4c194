"""A disk that is smaller than the spool's limit, and a disk that other programs fill."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.agent.spool.spool import Spool
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Measurement, Observation, Vantage
from netwatch.wire.batch_codec import unpack_batch

CREATED_AT = datetime(2026, 1, 8, tzinfo=UTC)
MIB = 1024 * 1024


@contextmanager
def small_disk(folder: Path, size: int = MIB) -> Iterator[Path]:
    """Mount a disk of `size` bytes; without root a skip, in CI a failure."""
    mount = folder / "disk"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", mount],
        check=False,
        capture_output=True,
        timeout=10,
    )
    if mounted.returncode:
        if os.environ.get("CI"):
            pytest.fail("a small disk: mounting a tmpfs needs root")
        pytest.skip("a small disk: mounting a tmpfs needs root")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True, timeout=10)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def append_for_hours(spool: Spool) -> None:
    for first in range(60, 60_000, 60):
        spool.append(rows(first))


def rows(first: int, count: int = 60) -> list[Measurement]:
    """One measurement a second, all different, so that they compress badly."""
    random_source = random.Random(first)
    return [
        Measurement(
            f"target-{random_source.randrange(500)}",
            "tcp",
            CREATED_AT + timedelta(seconds=first + number),
            None,
            "",
            host_responded=True,
            seconds=random_source.random(),
            observations=(
                Observation("connect", None, random_source.random(), f"{random_source.random()}"),
            ),
        )
        for number in range(count)
    ]


@pytest.mark.timeout(60)
def test_a_spool_adapts_to_a_small_disk(tmp_path: Path) -> None:
    """Its limit is 64 MiB, the disk 1 MiB: it downsamples, never fails, and can be emptied."""
    with (
        small_disk(tmp_path) as disk,
        Spool(disk / "spool.sqlite", vantage=Vantage("a1"), created_at=CREATED_AT) as spool,
    ):
        for first in range(0, 60 * 600, 60):
            spool.append(rows(first))
            spool.flush()
        state = spool.state()
        assert state.limit_bytes < MIB
        assert sum(state.levels[1:]) > 0, "nothing was downsampled: the test shows nothing"
        batches = [unpack_batch(one.payload) for one in spool.oldest(10_000)]
        assert sum(one.weight for batch in batches for one in batch.measurements) == 60 * 600
        while some := spool.oldest(8):
            spool.acknowledge([(one.sequence, one.sequence) for one in some])
        assert spool.count_pending() == 0


def test_a_full_disk_is_an_error_until_there_is_space_again(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path) as disk,
        Spool(disk / "spool.sqlite", vantage=Vantage("a1"), created_at=CREATED_AT) as spool,
    ):
        spool.append(rows(0))
        ballast = disk / "ballast"
        with pytest.raises(OSError, match="space"):
            fill(ballast)
        with pytest.raises(StoreError, match="full"):
            append_for_hours(spool)
        ballast.unlink()
        spool.append(rows(60_000))
        assert spool.flush() > 0
        assert spool.count_pending() > 0
