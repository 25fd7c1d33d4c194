"""The bench on which a case is set up: servers, certificates, namespaces and vantages."""

import asyncio
import multiprocessing
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from ssl import SSLContext
from time import monotonic
from types import TracebackType
from typing import Self

import pytest
from certificates import Authority
from cryptography.hazmat.primitives.serialization import Encoding
from faults import Answer, Handler
from qa.vantage import IT, Heard, Job, live
from servers import tcp_server, udp_server

from netwatch.agent.health.health import HealthState
from netwatch.model.measurement import Measurement, Target

__all__ = ["Bench", "Watch", "prepare"]

_TESTS = str(Path(__file__).parents[1])


def prepare() -> None:
    """Start the server of processes, with all modules loaded, so that a vantage takes no time."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["qa.vantage", *(f"netwatch_probes.{name}" for name in ("dns", "http", "tls", "transfer"))]
    )
    # It looks for modules where the environment says, not where this process does.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", _TESTS)
        forkserver.ensure_running()


class Watch:
    """The other end of a vantage: what it has told so far. Use it as a context manager.

    Attributes:
        heard: everything it measured, in order.
    """

    def __init__(self, job: Job) -> None:
        self.heard: list[Heard] = []
        context = multiprocessing.get_context("forkserver")
        self._pipe, far = context.Pipe(duplex=False)
        self._process = context.Process(target=live, args=(job, far), daemon=True)
        self._far = far

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._process.start)
        self._far.close()
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._hear)
        return self

    @property
    def root(self) -> Path:
        """What the vantage's file system looks like from here, its own mounts included."""
        return Path(f"/proc/{self._process.pid}/root")

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        self._process.kill()
        await asyncio.to_thread(self._process.join, 10)
        self._process.close()
        self._pipe.close()

    def _hear(self) -> None:
        try:
            told = self._pipe.recv()
        except EOFError:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            return
        self.heard.append(told)

    async def until(self, condition: Callable[[], bool], *, seconds: float = 30.0) -> bool:
        """Wait for a condition; False where it does not come true in time."""
        end = monotonic() + seconds
        while not condition():
            if monotonic() > end:
                return False
            await asyncio.sleep(0.02)
        return True

    def of(self, target: str) -> list[Heard]:
        """Return what was heard of one target."""
        return [one for one in self.heard if one.measurement.target == target]

    def last(self, target: str) -> Measurement | None:
        """Return the newest measurement of one target."""
        found = self.of(target)
        return found[-1].measurement if found else None

    def state(self, family: int = 4) -> HealthState:
        """Return the newest state of health."""
        return self.heard[-1].states[family] if self.heard else HealthState.UNKNOWN


@dataclass
class Bench:
    """Where one case is set up; leaving it takes everything away again.

    Attributes:
        number: the case's own, which gives it loopback addresses that no other has.
        folder: for files.
        authority: what vantages trust, where a case says so.
    """

    number: int
    folder: Path
    authority: Authority
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stack.__aexit__(kind, error, trace)

    def address(self, last: int = 1) -> str:
        """Return a loopback address of this case's own."""
        return f"127.90.{self.number}.{last}"

    def trusted(self) -> str:
        """Return a file with the authority that vantages trust."""
        path = self.folder / "authority.pem"
        path.write_bytes(self.authority.certificate.public_bytes(Encoding.PEM))
        return str(path)

    async def tcp(
        self,
        handler: Handler | None = None,
        *,
        host: str = "",
        port: int = 0,
        tls: SSLContext | None = None,
    ) -> tuple[str, int]:
        """Serve TCP until the case is over; returns address and port."""
        host = host or self.address()
        server = tcp_server(handler, host=host, port=port, tls=tls)
        return host, await self.stack.enter_async_context(server)

    async def udp(self, answer: Answer, *, place: tuple[str, int] | None = None) -> tuple[str, int]:
        """Serve UDP until the case is over, at a place of choice; returns address and port."""
        host, port = place or (self.address(), 0)
        channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.bind((host, port))
        server = udp_server(answer, channel=channel)
        return host, await self.stack.enter_async_context(server)

    async def job(self, probe: str, place: tuple[str, int], **more: object) -> Job:
        """Return the job to ask `place` with a probe, between witnesses that are all well."""
        host, port = await self.tcp()
        witnesses = [
            Target(f"{rung}-{number}", "tcp", host, port=port, group=f"witness-{rung}")
            for rung, count in (("lan", 1), ("isp", 1), ("domestic", 2), ("international", 2))
            for number in range(count)
        ]
        it = Target(IT, probe, place[0], port=place[1], **more)  # type: ignore[arg-type]
        return Job((*witnesses, it))
