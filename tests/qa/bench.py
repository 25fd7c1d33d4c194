"""The test bench: servers, certificates, namespaces and vantage processes."""

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
from qa.vantage import SUBJECT, Job, VantageReport, run_vantage
from server_faults import Answer, Handler
from servers import tcp_server, udp_server

from netwatch.agent.health.judge_health import HealthState
from netwatch.model.measurement import Measurement, Target

__all__ = ["Bench", "Watch", "prepare"]

_TESTS = str(Path(__file__).parents[1])


def prepare() -> None:
    """Start the fork server with all modules loaded, so that vantages start at once."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["qa.vantage", *(f"netwatch_probes.{name}" for name in ("dns", "http", "tls", "transfer"))]
    )
    # The fork server has its own module path.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", _TESTS)
        forkserver.ensure_running()


class Watch:
    """A running vantage and its reports so far; an async context manager.

    Attributes:
        reports: everything it measured, in order.
    """

    def __init__(self, job: Job) -> None:
        self.reports: list[VantageReport] = []
        context = multiprocessing.get_context("forkserver")
        self._pipe, far = context.Pipe(duplex=False)
        self._process = context.Process(target=run_vantage, args=(job, far), daemon=True)
        self._far = far

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._process.start)
        self._far.close()
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._receive)
        return self

    @property
    def root(self) -> Path:
        """The vantage's file system as seen from here, its own mounts included."""
        return Path(f"/proc/{self._process.pid}/root")

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        self._process.kill()
        await asyncio.to_thread(self._process.join, 10)
        self._process.close()
        self._pipe.close()

    def _receive(self) -> None:
        try:
            report = self._pipe.recv()
        except EOFError:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            return
        self.reports.append(report)

    async def until(self, condition: Callable[[], bool], *, seconds: float = 30.0) -> bool:
        """Wait for a condition; return False on timeout."""
        end = monotonic() + seconds
        while not condition():
            if monotonic() > end:
                return False
            await asyncio.sleep(0.02)
        return True

    def measurements(self) -> list[Measurement]:
        """Return everything it measured, in order."""
        return [one.measurement for one in self.reports]

    def of(self, target: str) -> list[VantageReport]:
        """Return the reports about one target."""
        return [one for one in self.reports if one.measurement.target == target]

    def last(self, target: str) -> Measurement | None:
        """Return the newest measurement of one target."""
        found = self.of(target)
        return found[-1].measurement if found else None

    def state(self, family: int = 4) -> HealthState:
        """Return the newest state of health."""
        return self.reports[-1].states[family] if self.reports else HealthState.UNKNOWN


@dataclass
class Bench:
    """The resources of one case; leaving the context releases them.

    Attributes:
        number: the case's number, which gives it its own loopback addresses.
        folder: for files.
        authority: the TLS authority that vantages trust, if a case says so.
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
        """Return a loopback address of this case."""
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
        """Serve TCP until the case ends; return address and port."""
        host = host or self.address()
        server = tcp_server(handler, host=host, port=port, tls=tls)
        return host, await self.stack.enter_async_context(server)

    async def udp(self, answer: Answer, *, place: tuple[str, int] | None = None) -> tuple[str, int]:
        """Serve UDP until the case ends; return address and port."""
        host, port = place or (self.address(), 0)
        channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.bind((host, port))
        server = udp_server(answer, channel=channel)
        return host, await self.stack.enter_async_context(server)

    async def job(self, probe: str, place: tuple[str, int], **more: object) -> Job:
        """Return the job of probing `place`, with witnesses that all respond."""
        host, port = await self.tcp()
        witnesses = [
            Target(f"{tier}-{number}", "tcp", host, port=port, group=f"witness-{tier}")
            for tier, count in (("lan", 1), ("isp", 1), ("domestic", 2), ("international", 2))
            for number in range(count)
        ]
        it = Target(SUBJECT, probe, place[0], port=place[1], **more)  # type: ignore[arg-type]
        return Job((*witnesses, it))
