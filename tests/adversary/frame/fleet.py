"""The honest agents next to an attack, as the harness sees them."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import msgspec

from netwatch.aio.tasks import cancel_and_wait
from netwatch.config import Config, write_config

__all__ = ["HonestFleet", "Receipt", "honest_agents"]

_HONEST = Path(__file__).with_name("honest.py")
_POLL = 0.01
_START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """A batch: when it was sealed and acknowledged, in seconds of the monotonic clock."""

    agent: str
    sealed: float
    acknowledged: float

    @property
    def seconds(self) -> float:
        """How long its acknowledgement took."""
        return self.acknowledged - self.sealed


@dataclass
class HonestFleet:
    """What the honest agents reported so far; `pid` is their process."""

    names: tuple[str, ...]
    pid: int
    receipts: list[Receipt] = field(default_factory=list)

    def sealed_between(self, since: float, until: float) -> list[Receipt]:
        """Return the acknowledged batches that were sealed in a span of the monotonic clock."""
        return [one for one in self.receipts if since <= one.sealed <= until]

    async def wait_for_each(self, since: float, is_over: Callable[[], bool]) -> bool:
        """Wait until every agent got an acknowledgement of a batch sealed after `since`."""
        while not is_over():
            if {one.agent for one in self.receipts if one.sealed >= since} == set(self.names):
                return True
            await asyncio.sleep(_POLL)
        return False


@asynccontextmanager
async def honest_agents(folder: Path, configs: Mapping[str, Config]) -> AsyncIterator[HonestFleet]:
    """Run an agent for each configuration, by name, in one process of their own."""
    paths = _write_configs(folder, configs)
    with (folder / "honest.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(_HONEST), *paths,
            stdout=asyncio.subprocess.PIPE, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    fleet = HonestFleet(tuple(configs), process.pid)
    reading = asyncio.ensure_future(_read(process, fleet))
    deadline = monotonic() + _START_SECONDS
    try:
        is_sending = await fleet.wait_for_each(0, lambda: monotonic() > deadline)
        assert is_sending, (folder / "honest.log").read_text()[-2000:]
        yield fleet
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await cancel_and_wait([reading])


def _write_configs(folder: Path, configs: Mapping[str, Config]) -> list[str]:
    folder.mkdir(parents=True)
    paths = []
    for name, config in configs.items():
        (folder / name).mkdir()
        paths.append(str(folder / f"{name}.toml"))
        own = msgspec.structs.replace(config, data=str(folder / name))
        write_config(own, Path(paths[-1]))
    return paths


async def _read(process: asyncio.subprocess.Process, fleet: HonestFleet) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        fleet.receipts.append(Receipt(*json.loads(line)))
