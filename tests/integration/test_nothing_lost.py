"""Whatever dies between an agent's disk and the collector's, nothing is lost or kept twice."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest
from batch_counts import count_batches
from servers import PASSWORD, USERNAME, mosquitto, until
from tcp_blocker import tcp_blocker
from uplink_rig import Broker, Rig

from netwatch.collector.metrics import by_label
from netwatch.wire.batch_codec import unpack_batch
from netwatch.wire.mqtt import MqttSession, MqttTransport
from netwatch.wire.rate_advice import RateAdvice
from netwatch.wire.topics import ALL_BATCHES, SHARED_BATCHES


@pytest.mark.timeout(40)
async def test_a_broker_killed_under_load_loses_no_batch(tmp_path: Path) -> None:
    """It keeps nothing on disk: what it had taken and not passed on is gone, and sent again."""
    with Broker(tmp_path) as broker:
        rig = Rig(tmp_path, broker.port, pace=0.05)
        with rig.spool() as spool:
            made = set(await rig.measure(spool, 200, rows=5))
            async with (
                rig.collector() as batch_log,
                rig.uplink(spool, rig.mqtt_endpoint(broker.port)),
            ):
                for left in (150, 80):
                    await until(lambda left=left: spool.count_pending() < left, seconds=20)
                    await asyncio.to_thread(broker.end)
                    assert spool.count_pending() > 0
                    made |= set(await rig.measure(spool, 5))
                    await asyncio.to_thread(broker.start)
                await until(lambda: spool.count_pending() == 0, seconds=20)
                assert count_batches(batch_log) == len(made) == 210
                assert by_label(rig.metrics.measurements)["stored"] == 200 * 5 + 10


@pytest.mark.timeout(60)
@pytest.mark.parametrize("expiry", [1, pytest.param(3600, marks=pytest.mark.long)])
async def test_a_killed_worker_of_a_shared_subscription_loses_no_batch(
    tmp_path: Path, expiry: int
) -> None:
    """The broker goes on handing half of all batches to the session of the dead one."""
    with mosquitto(tmp_path) as port:
        rig = Rig(tmp_path, port, pace=0.05, shared=True)
        async with tcp_blocker(port) as between:
            dead = MqttTransport(
                host="127.0.0.1", port=between.port, username=USERNAME, password=PASSWORD,
                session=MqttSession("dead", expiry=expiry),
            )  # fmt: skip
            await dead.__aenter__()
            await dead.subscribe(SHARED_BATCHES)
            with rig.spool() as spool:
                await rig.measure(spool, 40)
                async with rig.collector() as batch_log, rig.uplink(spool, rig.mqtt_endpoint(port)):
                    await until(lambda: spool.count_pending() < 30)
                    between.close()
                    await dead.__aexit__(None, None, None)
                    await rig.measure(spool, 10)
                    await until(lambda: spool.count_pending() == 0, seconds=50)
                    assert count_batches(batch_log) == 50


async def test_new_batches_are_sent_first_and_old_ones_at_the_advised_rate(
    tmp_path: Path,
) -> None:
    with mosquitto(tmp_path) as port:
        drain = RateAdvice(rate=16, reconnect_spread=0.2, time_ms=1)
        rig = Rig(tmp_path, port, rate_advice=drain)
        heard: list[int] = []

        async def listen(link: MqttTransport) -> None:
            async for message in link.messages():
                heard.append(unpack_batch(message.payload).sequence)  # noqa: PERF401 - as they come

        with rig.spool() as spool:
            old = await rig.measure(spool, 60)
            watcher = MqttTransport(
                host="127.0.0.1", port=port, username=USERNAME, password=PASSWORD
            )
            async with rig.collector(), watcher:
                await watcher.subscribe(ALL_BATCHES)
                listening = asyncio.ensure_future(listen(watcher))
                # The first acknowledgement shows whose word counts; from then on it is obeyed.
                async with rig.uplink(spool, rig.endpoints(f"mqtt://127.0.0.1:{port}")):
                    await until(lambda: spool.get_meta("rate_advice") is not None)
                assert heard[0] == old[-1]
                del heard[:]
                new = await rig.measure(spool)
                async with rig.uplink(spool, rig.endpoints(f"mqtt://127.0.0.1:{port}")) as uplink:
                    began = monotonic()
                    await until(lambda: len(heard) >= 10)
                    took = monotonic() - began
                    fresh = await rig.measure(spool)
                    uplink.notify()
                    await until(lambda: fresh[0] in heard, seconds=5)
                    assert spool.count_pending() > 10
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        assert heard[0] == new[0]
        backlog = [one for one in heard if one in old]
        assert backlog == sorted(backlog)
        # Two at once, then four a second: a quarter of the sixteen.
        assert took > 1.2
