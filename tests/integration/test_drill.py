"""A whole drill: with every part in one process, and with parts killed half-way."""

import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from netwatch.app.observatory import ObservatoryContext
from netwatch.app.transports import broker_password
from netwatch.config import write_config
from netwatch.lab.drill.runner import Drill, Outcome, run_drill
from netwatch.lab.drill.scenario import Scenario

pytestmark = pytest.mark.timeout(110)

# Eight networks, six of them cut: the same truth in less time than the full drill.
SHORT = Scenario(networks=8, cut=6, dark=timedelta(seconds=4))


async def idle(_: ObservatoryContext) -> None:
    """Do nothing, for a part that runs in another process."""


class Killable:
    """One part of a drill in its own process, which is killed and restarted."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.kills = 0
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, opened: ObservatoryContext) -> None:
        """Start the process, and restart it after each kill."""
        path = Path(opened.config.data) / f"{self.command}.toml"
        password = await asyncio.to_thread(broker_password, opened.config)
        broker = msgspec.structs.replace(opened.config.broker, embedded=False, password=password)
        config = msgspec.structs.replace(opened.config, broker=broker)
        await asyncio.to_thread(write_config, config, path)
        try:
            while True:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "netwatch", self.command, "--config", str(path)
                )
                code = await self._process.wait()
                assert code == -signal.SIGKILL, f"netwatch {self.command} ended with {code}"
        finally:
            await self._end()

    async def kill(self) -> None:
        """Kill the process three times, a moment apart."""
        for _ in range(3):
            assert self._process is not None
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
                self.kills += 1
            await asyncio.sleep(1.5)

    async def _end(self) -> None:
        """Interrupt the process, as Ctrl-C would, and wait for its end."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


def check(outcome: Outcome) -> None:
    """Assert that every finding holds."""
    missed = [f"{one.claim}: {one.seen}" for one in outcome.findings if not one.holds]
    assert not missed


async def test_the_drill_is_reported(tmp_path: Path) -> None:
    """One incident with its level, order, times and posts, and the posts as files."""
    outcome = await run_drill(Drill(tmp_path / "drill", lambda *_: None, SHORT))
    check(outcome)
    files = list((tmp_path / "drill" / "posts").iterdir())
    assert len(files) == len(outcome.posts)


@pytest.mark.parametrize("command", ["collect", pytest.param("analyze", marks=pytest.mark.long)])
async def test_a_killed_part_changes_nothing(tmp_path: Path, command: str) -> None:
    """Killed three times in the outage, it resumes the same incident and posts nothing twice."""
    part = Killable(command)
    drill = Drill(tmp_path / "drill", lambda *_: None, SHORT, midway=part.kill)
    if command == "collect":
        drill = replace(drill, collect=part.run)
    else:
        # `netwatch analyze` sends the posts too; an outbox has one sender.
        drill = replace(drill, analyze=part.run, publish=idle)
    outcome = await run_drill(drill)
    assert part.kills == 3
    check(outcome)
    post_counts = Counter((entry.post.incident, entry.post.kind) for entry in outcome.posts)
    assert post_counts[outcome.incidents[0].id, "restored"] == 1
    assert (
        sum(number for (_, kind), number in post_counts.items() if kind.startswith("confirmed"))
        == 1
    )
