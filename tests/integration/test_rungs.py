"""The ladder over real servers: what is blocked is gone round, and nothing is lost or doubled."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from batch_counts import count_batches
from certificates import Authority
from cryptography.hazmat.primitives.serialization import Encoding
from servers import PASSWORD, USERNAME, free_port, mosquitto, until
from tcp_blocker import tcp_blocker
from uplink_rig import Rig, two_listeners

from netwatch.agent.spool.schema import MetaKey
from netwatch.agent.spool.spool import Spool
from netwatch.collector.metrics import by_label
from netwatch.model.errors import TransportError
from netwatch.wire.mqtt import MqttTransport


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[tuple[int, int]]:
    with two_listeners(tmp_path) as ports:
        yield ports


async def empty(spool: Spool) -> None:
    """Wait until everything is acknowledged."""
    await until(lambda: spool.count_pending() == 0)


def status(spool: Spool) -> dict[str, object]:
    return msgspec.json.decode(spool.get_meta(MetaKey.UPLINK) or b"{}")


async def test_batches_are_sent_by_websocket(listeners: tuple[int, int], tmp_path: Path) -> None:
    rig = Rig(tmp_path, listeners[0])
    with rig.spool() as spool:
        await rig.measure(spool, 30, rows=50)
        async with rig.collector() as batch_log:
            async with rig.uplink(spool, rig.endpoints(f"ws://127.0.0.1:{listeners[1]}/mqtt")):
                await empty(spool)
            assert count_batches(batch_log) == 30
            await until(lambda: rig.presence_changes() == [("up", "a1"), ("stop", "a1")])


async def test_batches_are_sent_by_https_while_mqtt_is_blocked(
    listeners: tuple[int, int], tmp_path: Path
) -> None:
    rig = Rig(tmp_path, listeners[0])
    async with rig.collector() as batch_log, rig.agent_api() as door:
        with rig.spool() as spool:
            await rig.measure(spool, 30)
            blocked = f"mqtt://127.0.0.1:{free_port()}"
            ways = rig.endpoints(blocked, f"http://127.0.0.1:{door}")
            noted: list[str | None] = []
            async with rig.uplink(spool, ways) as uplink:
                uplink.on_status_change = lambda outcome: noted.append(outcome.failure)
                await empty(spool)
                await rig.measure(spool, 5)
                await empty(spool)
                await until(lambda: status(spool).get("transport") == f"http-{door}")
            fared = [one["failure"] for one in status(spool)["transports"]]
            assert fared == ["connection_refused", None]
            assert count_batches(batch_log) == 35
            assert by_label(rig.metrics.batches)["repeated"] == 0
            await until(lambda: rig.presence_changes() == [("up", "a1"), ("stop", "a1")])
    assert noted == ["connection_refused", None]


async def test_a_lower_transport_returns_to_a_better_one(
    listeners: tuple[int, int], tmp_path: Path
) -> None:
    rig = Rig(tmp_path, listeners[0], pace=0.05)
    async with (
        rig.collector() as batch_log,
        rig.agent_api() as door,
        tcp_blocker(listeners[0]) as between,
    ):
        between.close()
        ways = rig.endpoints(f"mqtt://127.0.0.1:{between.port}", f"http://127.0.0.1:{door}")
        with rig.spool() as spool:
            await rig.measure(spool, 5)
            async with rig.uplink(spool, ways):
                await empty(spool)
                assert status(spool)["transport"] == f"http-{door}"
                between.open()
                made = 5
                while status(spool)["transport"] != f"mqtt-{between.port}":
                    await rig.measure(spool)
                    made += 1
                    await empty(spool)
                    await asyncio.sleep(0.02)
                # Cut again in the middle of the work, it goes on below.
                between.close()
                await rig.measure(spool, 5)
                await empty(spool)
            assert count_batches(batch_log) == made + 5
            await until(lambda: rig.presence_changes() == [("up", "a1"), ("stop", "a1")])


async def test_a_transport_without_acknowledgements_has_failed(
    listeners: tuple[int, int], tmp_path: Path
) -> None:
    """The handshake passes and the upload stalls: seen in the wild, and worse than a refusal."""
    rig = Rig(tmp_path, listeners[0], pace=0.05, timeout=0.7)
    async with (
        rig.collector() as batch_log,
        rig.agent_api() as door,
        tcp_blocker(listeners[0]) as between,
    ):
        ways = rig.endpoints(f"mqtt://127.0.0.1:{between.port}", f"http://127.0.0.1:{door}")
        with rig.spool() as spool:
            async with rig.uplink(spool, ways):
                await rig.measure(spool)
                await empty(spool)
                between.swallow()
                await rig.measure(spool, 3)
                await empty(spool)
                assert status(spool)["transport"] == f"http-{door}"
            assert count_batches(batch_log) == 4


def secure(folder: Path, authority: Authority) -> str:
    """Write what Mosquitto needs to speak TLS as localhost; returns its settings."""
    authority.serving()
    return f"certfile {folder}/localhost-1.pem\nkeyfile {folder}/localhost-1.pem\n"


def trust(folder: Path, authority: Authority) -> str:
    """Write down an authority's certificate; returns the path."""
    path = folder / "authority.pem"
    path.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    return str(path)


async def test_tls_carries_batches_to_a_trusted_broker(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    ours = Authority(tmp_path / "tls")
    settings = secure(tmp_path / "tls", ours)
    with two_listeners(tmp_path, extra=settings) as (plain, web):
        # The settings stand below the last listener: the WebSocket's.
        rig = Rig(tmp_path, plain)
        authority = trust(tmp_path, ours)
        async with rig.collector() as batch_log:
            with rig.spool() as spool:
                await rig.measure(spool, 3)
                ways = rig.endpoints(f"wss://localhost:{web}/mqtt", ca_file=authority)
                async with rig.uplink(spool, ways):
                    await empty(spool)
                assert count_batches(batch_log) == 3


async def test_an_unknown_authority_is_reported_and_the_next_transport_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("tls", "other"):
        (tmp_path / name).mkdir()
    settings = secure(tmp_path / "tls", Authority(tmp_path / "tls"))
    foreign = Authority(tmp_path / "other")
    port = free_port()
    secured = f"listener {port} 127.0.0.1\n{settings}"
    with mosquitto(tmp_path, extra=secured, also=(port,)) as plain:
        rig = Rig(tmp_path, plain)
        async with rig.collector() as batch_log, rig.agent_api() as door:
            authority = trust(tmp_path, foreign)
            ways = rig.endpoints(
                f"mqtts://localhost:{port}", f"http://127.0.0.1:{door}", ca_file=authority
            )
            with rig.spool() as spool:
                await rig.measure(spool, 3)
                async with rig.uplink(spool, ways):
                    await empty(spool)
                first = status(spool)["transports"][0]
            assert count_batches(batch_log) == 3
    assert first["failure"] == "ssl_unknown_authority"
    lines = [one.message for one in caplog.records if f"localhost:{port}" in one.message]
    assert len(lines) == 1
    assert "certificate verify failed" in lines[0]
    assert "\n" not in lines[0]


async def test_alpn_is_offered_on_a_shared_port(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    ours = Authority(tmp_path / "tls")
    settings = secure(tmp_path / "tls", ours)
    port = free_port()
    extra = f"listener {port} 127.0.0.1\n{settings}"
    with mosquitto(tmp_path, extra=extra, also=(port,)):
        context = ours.trusting()
        context.set_alpn_protocols(["mqtt"])
        link = MqttTransport(
            host="localhost", port=port, username=USERNAME, password=PASSWORD, tls=context
        )
        async with link:
            await link.publish("nw/v1/a/one/b", b"by port 443, as it might be")
        assert context.session_stats()["connect_good"] == 1


async def test_a_wrong_path_to_a_websocket_gives_a_one_line_error(
    listeners: tuple[int, int], tmp_path: Path
) -> None:
    with pytest.raises(TransportError) as caught:
        async with MqttTransport(host="127.0.0.1", port=listeners[0], path="/mqtt", timeout=3):
            pass
    assert "\n" not in str(caught.value)
