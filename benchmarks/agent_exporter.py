"""Debian's prometheus-blackbox-exporter, started as a child process and queried over HTTP.

The kernel reports its cost: the processor time of the process and its children, without that of
the client.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PROGRAM", "Exporter", "ask", "cpu_seconds", "exporter"]

PROGRAM = "prometheus-blackbox-exporter"
MODULES = """
modules:
  tcp_connect:
    prober: tcp
    timeout: 5s
"""
PATIENCE = 15.0


@dataclass(frozen=True)
class Exporter:
    """A running exporter: its process and the port that it listens on."""

    pid: int
    port: int


def cpu_seconds(pid: int) -> float:
    """Return the processor seconds of a process and of the children that it waited for."""
    # The name in parentheses may hold anything; the fields count from behind it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(fields[place]) for place in (11, 12, 13, 14))
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def exporter(port: int) -> Iterator[Exporter | None]:
    """Run an exporter on a loopback port; yields None where none is installed."""
    program = shutil.which(PROGRAM)
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "blackbox.yml"
        config.write_text(MODULES)
        process = subprocess.Popen(
            [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            asyncio.run(_wait(port))
            yield Exporter(process.pid, port)
        finally:
            process.kill()
            process.wait()


async def _wait(port: int) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + PATIENCE
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        if time.monotonic() > end:
            raise TimeoutError(f"{PROGRAM} does not listen")
        await asyncio.sleep(0.05)


async def ask(
    found: Exporter, port: int, *, seconds: float, together: int
) -> tuple[int, float, float]:
    """Have it probe a TCP port for so long; return probes, seconds and its CPU seconds."""
    done = 0
    end = time.perf_counter() + seconds
    path = f"/probe?module=tcp_connect&target=127.0.0.1:{port}"
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()

    async def work() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        while time.perf_counter() < end:
            writer.write(request)
            if b"\nprobe_success 1\n" not in await _read_answer(reader):
                raise RuntimeError(f"{PROGRAM} did not reach its target")
            done += 1
        writer.close()

    since, spent = time.perf_counter(), cpu_seconds(found.pid)
    async with asyncio.TaskGroup() as group:
        for _ in range(together):
            group.create_task(work())
    return done, time.perf_counter() - since, cpu_seconds(found.pid) - spent


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    """Return the body of one HTTP answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line.split(b":")[1]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body
