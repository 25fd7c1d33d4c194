"""Real servers on loopback, each a context manager on a free port."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast
from weakref import WeakSet

import pytest

__all__ = [
    "PASSWORD",
    "USERNAME",
    "free_port",
    "mosquitto",
    "need",
    "tcp_server",
    "udp_server",
    "until",
    "wait_for_port",
]

USERNAME = "netwatch"
PASSWORD = "swordfish"


def need(program: str) -> str:
    """Return the path of a program; if it is missing, fail in CI and skip elsewhere."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is missing")
        pytest.skip(f"{program} is missing")
    return found


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], bool], *, seconds: float = 15.0) -> None:
    """Wait for `condition`; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


class _Replies(asyncio.DatagramProtocol):
    """Responds to each packet with the packets and delays that `answer` returns."""

    def __init__(self, answer: Callable[[bytes], list[tuple[float, bytes]]]) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        for delay, packet in self._answer(data):
            asyncio.get_running_loop().call_later(delay, self._send, packet, address)

    def _send(self, packet: bytes, address: tuple[str, int]) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(packet, address)


@asynccontextmanager
async def udp_server(
    answer: Callable[[bytes], list[tuple[float, bytes]]],
    *,
    port: int = 0,
    channel: socket.socket | None = None,
) -> AsyncIterator[int]:
    """Answer UDP packets on loopback, or those that come to `channel`; yields the port."""
    if channel is None:
        channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.bind(("127.0.0.1", port))
    channel.settimeout(0)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Replies(answer), sock=channel
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@contextmanager
def mosquitto(
    folder: Path, *, port: int = 0, extra: str = "", also: tuple[int, ...] = ()
) -> Iterator[int]:
    """Run Mosquitto on 127.0.0.1 with one user; yields its port.

    `extra` are settings more, `also` the ports of their listeners.
    """
    program = need("mosquitto")
    passwords = folder / "passwords"
    subprocess.run(
        [need("mosquitto_passwd"), "-c", "-b", passwords, USERNAME, PASSWORD], check=True
    )
    port = port or free_port()
    settings = folder / "mosquitto.conf"
    # As root it would become another user, who cannot read a test's folder.
    user = "user root\n" if os.geteuid() == 0 else ""
    settings.write_text(
        f"{user}listener {port} 127.0.0.1\nallow_anonymous false\n"
        f"password_file {passwords}\n{extra}"
    )
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([program, "-c", settings], stdout=log, stderr=log)
        try:
            for one in (port, *also):
                wait_for_port(one, process)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a started program listens."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert process.poll() is None, "mosquitto ended at once"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("mosquitto does not listen")


@asynccontextmanager
async def tcp_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    channel: socket.socket | None = None,
) -> AsyncIterator[int]:
    """Accept connections and hand them to `handle`, or close them; yields the port.

    They come to `channel` where it is given, a socket that may be anywhere.
    """

    ends: WeakSet[asyncio.WriteTransport] = WeakSet()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.add(writer.transport)
        try:
            if handle is not None:
                result = handle(reader, writer)
                if asyncio.iscoroutine(result):
                    await result
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    if channel is None:
        server = await asyncio.start_server(serve, host, port, ssl=tls)
    else:
        server = await asyncio.start_server(serve, sock=channel, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # Pending connections are accepted first: asyncio drops those it finds while closing.
        for _ in range(5):
            await asyncio.sleep(0)
        server.close()
        for end in list(ends):
            end.abort()
        # An aborted connection is closed one round of the loop later.
        await asyncio.sleep(0)
