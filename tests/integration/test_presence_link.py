"""Presence over a real Mosquitto: delayed wills, lost agents, a restarted broker."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
from servers import PASSWORD, USERNAME, mosquitto, until
from tcp_blocker import tcp_blocker
from uplink_rig import Broker, Rig

from netwatch.model.entities import Entity
from netwatch.model.signals import AGENTS
from netwatch.protocols import Message
from netwatch.wire.mqtt import MqttSession, MqttTransport
from netwatch.wire.topics import ALL_PRESENCE

COUNTRY = Entity.parse("country:XX")


async def test_an_agent_back_within_the_will_delay_is_not_lost(tmp_path: Path) -> None:
    """MQTT 5, 3.1.3.2.2; some brokers have dropped delayed wills."""
    will = Message("nw/v1/a/a1/p", b"lost", retained=True)
    heard: list[bytes] = []

    def link(port: int, name: str) -> MqttTransport:
        return MqttTransport(
            host="127.0.0.1", port=port, username=USERNAME, password=PASSWORD,
            session=MqttSession(name, expiry=60, will_delay=1), will=will,
        )  # fmt: skip

    async def listen(watcher: MqttTransport) -> None:
        async for message in watcher.messages():
            heard.append(message.payload)  # noqa: PERF401 - as they come

    with mosquitto(tmp_path) as port:
        async with tcp_blocker(port) as between:
            watcher = MqttTransport(
                host="127.0.0.1", port=port, username=USERNAME, password=PASSWORD
            )
            async with watcher:
                await watcher.subscribe(ALL_PRESENCE)
                listening = asyncio.ensure_future(listen(watcher))
                first = link(between.port, "a1")
                await first.__aenter__()
                between.close()
                between.open()
                async with link(between.port, "a1"):
                    await asyncio.sleep(1.5)
                assert heard == []
                second = link(between.port, "a1")
                await second.__aenter__()
                cut = monotonic()
                between.close()
                await until(lambda: heard == [b"lost"])
                assert monotonic() - cut > 0.9
                listening.cancel()
                for one in (first, second):
                    await one.__aexit__(None, None, None)
                await asyncio.gather(listening, return_exceptions=True)


async def test_disconnected_agents_are_counted_and_return(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as port:
        rig = Rig(tmp_path, port)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(rig.collector())
            between = await stack.enter_async_context(tcp_blocker(port))
            for number in range(4):
                name = f"a{number}"
                spool = stack.enter_context(rig.spool(name))
                await rig.measure(spool)
                way = rig.mqtt_endpoint(between.port if number < 3 else port, name)
                await stack.enter_async_context(rig.uplink(spool, way, name))
            await until(lambda: figures(rig)[-1:] == [(4, 4)])
            between.close()
            await until(lambda: figures(rig)[-1:] == [(1, 4)])
            lost = [one for one in rig.events() if one.state == "lost"]
            assert {one.vantage.id for one in lost} == {"a0", "a1", "a2"}
            assert not any(one.masked for one in lost)
            assert {(one.vantage.country, one.vantage.asn) for one in lost} == {("XX", 64501)}
            between.open()
            await until(lambda: figures(rig)[-1:] == [(4, 4)])
            back = [one.reason for one in rig.events()[-3:]]
            assert back == ["network"] * 3


def figures(rig: Rig) -> list[tuple[float, float | None]]:
    """Return the series of agents of the country, newest last."""
    bins = rig.store.read_bins(rig.since, rig.until)
    return [
        (one.value, one.total)
        for one in bins
        if one.series.signal == AGENTS and one.series.entity == COUNTRY
    ]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("ends", [[15], pytest.param([9, 15, 9], marks=pytest.mark.long)])
async def test_a_broker_restart_loses_no_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ends: list[int]
) -> None:
    """A terminated broker sends all wills first; a killed broker sends none."""
    with Broker(tmp_path) as broker:
        rig = Rig(tmp_path, broker.port, pace=0.05, settle_time=timedelta(seconds=8))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(rig.collector())
            for name in ("a0", "a1", "a2"):
                spool = stack.enter_context(rig.spool(name))
                await rig.measure(spool)
                await stack.enter_async_context(
                    rig.uplink(spool, rig.mqtt_endpoint(broker.port, name), name)
                )
            await until(lambda: figures(rig)[-1:] == [(3, 3)])
            for number in ends:
                await asyncio.to_thread(broker.end, number)
                await asyncio.sleep(0.7)
                seen = len(figures(rig))
                await asyncio.to_thread(broker.start)
                await until(lambda seen=seen: len(figures(rig)) > seen + 1, seconds=20)
        assert set(figures(rig)) == {(3, 3)}
        assert not [one for one in rig.events() if one.state == "lost" and not one.masked]
    notices = [one.message for one in caplog.records if "do not count as lost" in one.message]
    # At most one line a minute about the same fault.
    assert len(notices) == 1
    assert "its 3 agents" in notices[0]
