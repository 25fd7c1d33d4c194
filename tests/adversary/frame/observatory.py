"""A real `netwatch up` on loopback, with its broker: embedded, or Mosquitto as it is shipped."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import msgspec
from servers import free_port, need, wait_for_port
from shifted_clock import SHIFTED_CLOCK

from netwatch.config import BrokerConfig, Config, WebConfig, write_config
from netwatch.lab.drill.loopback_country import Country
from netwatch.lab.drill.scenario import drill_config

__all__ = ["Observatory", "password_of", "shipped_mosquitto"]

_SHIPPED = Path(__file__).parents[3] / "deploy"
_PAGE = 1024 * 1024
_START_SECONDS = 120.0


def password_of(name: str) -> str:
    """Return the password of an account of the broker."""
    return f"swordfish-{name}"


@contextmanager
def shipped_mosquitto(folder: Path, accounts: tuple[str, ...]) -> Iterator[int]:
    """Run Mosquitto with the shipped settings and rights; only its port and paths are changed."""
    folder.mkdir(parents=True)
    port, passwords = free_port(), folder / "passwords"
    passwords.write_text("".join(f"{name}:{password_of(name)}\n" for name in accounts))
    subprocess.run([need("mosquitto_passwd"), "-U", passwords], check=True)
    text = (_SHIPPED / "mosquitto.conf").read_text("utf-8")
    text = re.sub(r"^listener 1883.*$", f"listener {port} 127.0.0.1", text, flags=re.MULTILINE)
    text = text.replace("/mosquitto/data/", f"{folder}/")
    text = text.replace("/mosquitto/config/mosquitto.acl", str(folder / "acl"))
    (folder / "acl").write_bytes((_SHIPPED / "mosquitto.acl").read_bytes())
    # Mosquitto leaves root's rights, and could not read a folder that only root can.
    user = "user root\n" if os.geteuid() == 0 else ""
    (folder / "mosquitto.conf").write_text(user + text)
    for path in (passwords, folder / "acl"):
        path.chmod(0o600)
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen(
            [need("mosquitto"), "-c", folder / "mosquitto.conf"], stdout=log, stderr=log
        )
        try:
            wait_for_port(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(10)


class Observatory:
    """One process of `netwatch up`, which may be started again on the same data.

    Attributes:
        config: its configuration; `config.web.port` is the door for pages and HTTPS agents.
        data: its data folder.
        log: what it wrote to stderr.
    """

    def __init__(self, folder: Path, country: Country, broker: BrokerConfig) -> None:
        self.data, self.log = folder / "data", folder / "netwatch.log"
        base = drill_config(str(self.data), broker.port, country=country, targets=country.targets())
        self.config: Config = msgspec.structs.replace(
            base, broker=broker, web=WebConfig(port=free_port())
        )
        self._path, self._clock = folder / "netwatch.toml", folder / "clock-error"
        write_config(self.config, self._path)
        self._process: asyncio.subprocess.Process | None = None
        self.set_clock(0.0)

    def set_clock(self, error: float) -> None:
        """Set its system clock wrong by some seconds."""
        self._clock.write_text(str(error))

    @property
    def url(self) -> str:
        """Root of its pages and of the HTTPS door."""
        return f"http://127.0.0.1:{self.config.web.port}"

    @property
    def pid(self) -> int:
        """The process, 0 if it ended."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else 0

    async def start(self) -> None:
        """Start it and wait until its page answers."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, SHIFTED_CLOCK, self._clock, "up", "--config", str(self._path),
                stdout=asyncio.subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient() as client:
            while True:
                assert self.pid, f"netwatch up ended: {self.log.read_text()[-2000:]}"
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/v1/health")).status_code < 600:
                        return
                await asyncio.sleep(0.1)

    async def stop(self, number: int = signal.SIGINT) -> int:
        """End it by a signal and return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
        return await process.wait()

    def memory(self) -> float:
        """Return the process's resident memory in MB, 0 if it ended."""
        try:
            text = Path(f"/proc/{self.pid}/statm").read_text("ascii")
        except OSError:
            return 0.0
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / _PAGE

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Observatory"]:
        """Run it inside the context."""
        try:
            await self.start()
            yield self
        finally:
            await self.stop()
