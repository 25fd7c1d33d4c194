import asyncio
import resource
import socket
from time import perf_counter

import pytest
from server_faults import deaf_port
from servers import free_port, tcp_server

from netwatch.model.measurement import Target
from netwatch.protocols import Probe
from netwatch_probes.tcp import TcpProbe


def target(port: int, host: str = "127.0.0.1") -> Target:
    return Target("one", "tcp", host, port=port)


async def words(place: Target, within: float = 5.0) -> list[tuple[str, str | None]]:
    steps = await TcpProbe().measure(place, within=within)
    return [(step.operation, step.failure) for step in steps]


def test_it_is_a_probe() -> None:
    assert isinstance(TcpProbe(), Probe)
    assert TcpProbe().name == "tcp"


async def test_a_connection_is_one_step_without_a_name_to_resolve() -> None:
    async with tcp_server() as port:
        (step,) = await TcpProbe().measure(target(port), within=5)
    assert (step.operation, step.failure) == ("connect", None)
    assert 0 < step.seconds < 5


async def test_a_name_is_resolved_first() -> None:
    async with tcp_server() as port:
        outcomes = await words(target(port, "localhost"))
    assert outcomes == [("resolve", None), ("connect", None)]


async def test_ipv6() -> None:
    try:
        async with tcp_server(host="::1") as port:
            assert await words(target(port, "::1")) == [("connect", None)]
    except OSError:
        pytest.skip("no IPv6 on this machine")


async def test_a_closed_port_is_refused() -> None:
    assert await words(target(free_port())) == [("connect", "connection_refused")]


async def test_a_full_backlog_is_a_timeout() -> None:
    with deaf_port() as port:
        since = perf_counter()
        outcomes = await words(target(port), within=0.3)
    assert outcomes == [("connect", "generic_timeout_error")]
    assert perf_counter() - since < 3


async def test_exhausted_file_descriptors_are_a_local_fault() -> None:
    async with tcp_server() as port:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        open_now = socket.socket()
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_now.fileno() + 1, hard))
            outcomes = await words(target(port))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            open_now.close()
    assert outcomes == [("connect", "unknown_failure: emfile")]


async def test_cancellation_is_not_a_measurement() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        filler = socket.create_connection(deaf.getsockname())
        task = asyncio.ensure_future(words(target(deaf.getsockname()[1]), within=30))
        other = asyncio.ensure_future(words(target(deaf.getsockname()[1]), within=30))
        await asyncio.sleep(0.05)
        for stopped in (task, other):
            stopped.cancel()
        results = await asyncio.gather(task, other, return_exceptions=True)
        filler.close()
    assert any(isinstance(result, asyncio.CancelledError) for result in results)


@pytest.mark.parametrize("host", ["no-such-name.invalid", "x" * 70 + ".invalid", "a..b", "\ud800"])
async def test_an_invalid_name_is_a_dns_failure(host: str) -> None:
    ((operation, word),) = await words(target(80, host), within=8)
    assert operation == "resolve"
    assert word is not None
    assert word.startswith(("dns_", "generic_timeout", "unknown_failure: Unicode"))
