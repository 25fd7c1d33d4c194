import asyncio
from pathlib import Path

import pytest
from certificates import Authority
from servers import tcp_server

from netwatch.model.measurement import Observation, Target
from netwatch_probes.transfer import TransferProbe

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def body(size: int, *, declared: int | None = None, status: str = "200 OK", pause: int = 0):  # noqa: ANN201 - a handler
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        length = size if declared is None else declared
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode())
        writer.write(b"x" * size)
        await writer.drain()
        if pause:
            await asyncio.sleep(pause)

    return handle


async def measure(port: int, within: float = 5.0) -> tuple[Observation, ...]:
    target = Target("one", "transfer", "127.0.0.1", port=port, path="/file")
    return await TransferProbe().measure(target, within=within)


async def test_the_received_bytes_are_recorded() -> None:
    async with tcp_server(body(50_000)) as port:
        steps = await measure(port)
    assert [(step.operation, step.failure) for step in steps] == [
        ("connect", None),
        ("transfer", None),
    ]
    assert steps[-1].detail == "50000"
    assert steps[-1].seconds > 0


async def test_no_more_than_the_limit_is_read() -> None:
    async with tcp_server(body(1_000_000)) as port:
        assert (await measure(port))[-1].detail == str(128 * 1024)


async def test_a_stall_records_the_bytes_before_it() -> None:
    async with tcp_server(body(16_384, declared=100_000, pause=30)) as port:
        last = (await measure(port, within=0.5))[-1]
    assert (last.operation, last.failure) == ("transfer", "generic_timeout_error")
    assert last.detail == "16384"


async def test_an_early_end_is_a_failure() -> None:
    async with tcp_server(body(16_384, declared=100_000)) as port:
        last = (await measure(port))[-1]
    assert (last.failure, last.detail) == ("eof_error", "16384")


@pytest.mark.parametrize("status", ["404 Not Found", "302 Found", "503 Busy"])
async def test_other_statuses_are_failures(status: str) -> None:
    async with tcp_server(body(10, status=status)) as port:
        assert (await measure(port))[-1].failure == "http_unexpected_status_code"


async def test_endless_headers_are_cut_off() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000)
        await writer.drain()

    async with tcp_server(endless) as port:
        assert (await measure(port))[-1].failure == "http_request_failed"


async def test_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with tcp_server(body(50_000), tls=authority.serving()) as port:
        probe = TransferProbe(tls={port}, context=authority.trusting())
        target = Target("one", "transfer", "127.0.0.1", port=port, domain="localhost")
        steps = await probe.measure(target, within=5)
        distrusting = await TransferProbe(tls={port}).measure(target, within=5)
    assert [step.operation for step in steps] == ["connect", "tls_handshake", "transfer"]
    assert steps[-1].detail == "50000"
    assert distrusting[-1].failure == "ssl_unknown_authority"
