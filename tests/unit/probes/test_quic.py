"""The QUIC probe against real and fake servers on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent
from certificates import Authority
from servers import free_port, udp_server, until

from netwatch.model.failure import FailureScope, lookup_failure
from netwatch.model.measurement import Observation, Target
from netwatch_probes import quic
from netwatch_probes.quic import QuicProbe


@asynccontextmanager
async def quic_server(
    folder: Path,
    *,
    versions: tuple[int, ...] = (1,),
    protocols: tuple[str, ...] = ("h3",),
    events: list[QuicEvent] | None = None,
) -> AsyncIterator[int]:
    """Serve QUIC on loopback and yield the port; `events` receives the server's events."""

    class Listening(QuicConnectionProtocol):
        def quic_event_received(self, event: QuicEvent) -> None:
            if events is not None:
                events.append(event)

    Authority(folder).serving()
    configuration = QuicConfiguration(
        is_client=False, alpn_protocols=list(protocols), supported_versions=list(versions)
    )
    pair = folder / "localhost-1.pem"
    configuration.load_cert_chain(pair, pair)
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Listening)
    try:
        yield server._transport.get_extra_info("sockname")[1]
    finally:
        server.close()
        await asyncio.sleep(0)


async def measure(port: int, *, host: str = "127.0.0.1", within: float = 5.0) -> Observation:
    target = Target("one", "quic", host, port=port, domain="localhost")
    return (await QuicProbe().measure(target, within=within))[-1]


async def test_a_handshake_records_version_and_protocol_and_closes(tmp_path: Path) -> None:
    events: list[QuicEvent] = []
    async with quic_server(tmp_path, events=events) as port:
        step = await measure(port)
        await until(lambda: any(isinstance(event, ConnectionTerminated) for event in events))
    assert (step.operation, step.failure, step.detail) == ("quic_handshake", None, "v1,h3")
    assert 0 < step.seconds < 5


async def test_another_common_version_is_negotiated(tmp_path: Path) -> None:
    async with quic_server(tmp_path, versions=(0x6B3343CF,)) as port:
        step = await measure(port)
    assert (step.failure, step.detail) == (None, f"v{0x6B3343CF},h3")


async def test_a_server_without_a_common_version(tmp_path: Path) -> None:
    async with quic_server(tmp_path, versions=(0xFF00001D,)) as port:
        step = await measure(port)
    assert step.failure == "quic_incompatible_version"
    assert lookup_failure(step.failure).scope is FailureScope.QUIC
    assert lookup_failure(step.failure).host_responded


async def test_a_server_of_another_protocol(tmp_path: Path) -> None:
    async with quic_server(tmp_path, protocols=("doq",)) as port:
        assert (await measure(port)).failure == "ssl_failed_handshake"


async def test_a_closed_port() -> None:
    assert (await measure(free_port())).failure == "connection_refused"


async def test_silence_is_a_timeout() -> None:
    async with udp_server(lambda _: []) as port:
        step = await measure(port, within=0.4)
    assert (step.operation, step.failure) == ("quic_handshake", "generic_timeout_error")
    assert step.seconds < 4


async def test_the_timeout_is_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic, "_MAX_SECONDS", 0.3)
    async with udp_server(lambda _: []) as port:
        assert (await measure(port, within=60)).seconds < 4


async def test_noise_is_ignored() -> None:
    async with udp_server(lambda _: [(0.0, b"\xc0\x00\x00\x00\x01" + b"?" * 40)]) as port:
        assert (await measure(port, within=0.4)).failure == "generic_timeout_error"


async def test_a_flood_ends_the_handshake() -> None:
    """A hundred times the bytes of a handshake: most of them are not read."""
    flood = [(0.0, b"\x40" + b"?" * 1400)] * 2000
    async with udp_server(lambda _: flood) as port:
        step = await measure(port)
    assert step.failure == "unknown_failure: quic"
    assert step.seconds < 4


async def test_an_address_is_not_sent_as_a_name(tmp_path: Path) -> None:
    async with quic_server(tmp_path) as port:
        target = Target("one", "quic", "127.0.0.1", port=port)
        assert (await QuicProbe().measure(target, within=5))[-1].failure is None


async def test_without_aioquic_the_log_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(quic, "_INSTALLED", False)
    step = await measure(free_port())
    assert step.failure == "unavailable"
    assert lookup_failure(step.failure).scope is FailureScope.LOCAL
    assert "pip install 'netwatch-observatory[quic]'" in caplog.text
