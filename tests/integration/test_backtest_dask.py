"""A backtest on a real Dask cluster on loopback: the same bytes, and one line when it breaks."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from servers import free_port

pytestmark = pytest.mark.timeout(90)

_QUIET = os.environ | {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error"}

_SCRIPT = """
import contextlib, os, signal, sys
from netwatch.cli import backtest
from netwatch.cli.main import run
from netwatch.lab.backtest import partition

victim = int(sys.argv[1])
sys.argv[:2] = ["netwatch", "backtest"]
partition.PARTITION_SERIES = 2  # so that there is something to share out

def kill(share):
    if victim and 0.3 < share < 0.9:
        os.kill(victim, signal.SIGKILL)

backtest.progress_bar = lambda *_, **__: contextlib.nullcontext(kill)
run()
"""


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four countries of two networks for five days, one of them cut off for half a day."""
    random = np.random.default_rng(5)
    hours = pd.date_range("2024-01-01", periods=24 * 5, freq="h", tz="UTC")
    tables = []
    for place, country in enumerate(("XA", "XB", "XC", "XD")):
        for number in range(2):
            values = random.poisson(300, len(hours)).astype(float)
            if country == "XC":
                values[80:92] *= 0.02
            table = pd.DataFrame({"time": hours, "signal": "probing", "value": values})
            entity = f"asn:{64500 + 2 * place + number}"
            tables.append(table.assign(entity=entity, parent=f"country:{country}"))
    path = tmp_path_factory.mktemp("figures") / "figures.csv"
    pd.concat(tables).to_csv(path, index=False)
    return path


class Cluster:
    """A scheduler and two workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self._folder = folder
        port = self.address.rpartition(":")[2]
        self.processes = [self._start("scheduler", "--port", port, "--host", "127.0.0.1")]
        self.processes += [
            self._start(
                "worker", self.address, "--host", "127.0.0.1", "--no-nanny",
                "--nthreads", "1", "--memory-limit", "0",
            )
            for _ in range(2)
        ]  # fmt: skip

    def _start(self, part: str, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "dask", part, "--no-dashboard", *arguments]
        with (self._folder / f"{part}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)

    def wait(self) -> None:
        """Wait until both workers have come."""
        deadline = time.monotonic() + 40
        log = self._folder / "worker.log"
        while log.read_text().count("Registered to:") < 2:
            alive = all(process.poll() is None for process in self.processes)
            assert alive, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def end(self) -> None:
        """End what is still there."""
        for process in reversed(self.processes):
            process.kill()
            process.wait(10)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    if find_spec("distributed") is None:
        text = "distributed is missing"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    found = Cluster(tmp_path)
    try:
        found.wait()
        yield found
    finally:
        found.end()


def backtest(
    figures: Path, out: Path, *more: str, victim: int = 0
) -> "subprocess.CompletedProcess[str]":
    """Run the command; `victim` is a process to be killed when a third is done."""
    command = [sys.executable, "-c", _SCRIPT, str(victim), str(figures), "--out", str(out), *more]
    return subprocess.run(
        command, capture_output=True, text=True, env=_QUIET, timeout=60, check=False
    )


def test_a_cluster_gives_the_same_bytes_and_its_loss_a_one_line_error(
    figures: Path, cluster: Cluster, tmp_path: Path
) -> None:
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    one, many = backtest(figures, alone), backtest(figures, spread, "--dask", cluster.address)
    for process in (one, many):
        assert process.returncode == 0, process.stderr
        assert "NW-XC-2024-0001  country:XC" in process.stdout
    for name in ("levels.parquet", "incidents.json"):
        assert (alone / name).read_bytes() == (spread / name).read_bytes()

    for process in cluster.processes[1:]:
        process.kill()
        process.wait(10)
    left = backtest(figures, tmp_path / "lost", "--dask", cluster.address)
    assert left.returncode == 2
    assert "has no workers" in left.stderr.splitlines()[-1]
    assert not (tmp_path / "lost").exists()


def test_a_killed_worker_gives_a_one_line_error(
    figures: Path, cluster: Cluster, tmp_path: Path
) -> None:
    out, victim = tmp_path / "lost", cluster.processes[1].pid
    process = backtest(figures, out, "--dask", cluster.address, victim=victim)
    assert process.returncode == 2, process.stdout
    assert "is gone; nothing was written" in process.stderr.splitlines()[-1]
    assert not out.exists()
