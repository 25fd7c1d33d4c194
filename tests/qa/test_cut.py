"""A country is cut off while an agent measures: every measurement arrives, exactly once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority
from namespaces import need_namespaces
from qa.bench import Bench, Watch, prepare
from qa.country import ABROAD, Country
from qa.full_agent import PAUSE, AgentSetup
from qa.observatory import Observatory, relay
from qa.vantage import SUBJECT
from servers import until

from netwatch.agent.health.judge_health import HealthState
from netwatch.model.measurement import Measurement

pytestmark = pytest.mark.timeout(400)
TIMEOUT = timedelta(seconds=2)
_BROKER = 1883
_LIMIT = 120.0
"""Seconds to wait for any condition, on a machine however busy."""


def now() -> datetime:
    return datetime.now(UTC)


def within(watch: Watch, start: datetime, end: datetime) -> list[Measurement]:
    return [one for one in watch.measurements() if start < one.time < end]


async def wait(watch: Watch, condition: Callable[[], bool]) -> datetime:
    assert await watch.until(condition, seconds=_LIMIT)
    return now()


async def test_an_agent_measures_through_a_cut_and_loses_nothing(tmp_path: Path) -> None:
    need_namespaces()
    prepare()
    async with Bench(0, tmp_path, Authority(tmp_path)) as bench:
        country = await bench.stack.enter_async_context(Country(bench))
        job = country.job()
        observatory = await bench.stack.enter_async_context(Observatory(tmp_path, job.targets))
        address = country.abroad.listening(ABROAD[4][0], _BROKER)
        await bench.stack.enter_async_context(relay(address, observatory.port))
        folder = tmp_path / "agent"
        folder.mkdir()
        setup = AgentSetup(str(folder), (ABROAD[4][0], _BROKER))
        async with Watch(job.at(setup=setup, period=1.0, timeout=TIMEOUT.total_seconds())) as watch:
            await wait(watch, lambda: watch.state() is watch.state(6) is HealthState.OK)
            await wait(watch, lambda: observatory.stored() > 20)
            cut = now()
            country.pull_border()
            detected = await wait(watch, lambda: watch.state() is HealthState.INTL_CUT)
            # Long enough for another round of all targets, while batches accumulate.
            await wait(watch, lambda: len(within(watch, detected, now())) > 100)
            arrived = observatory.stored()
            last = now()
            country.plug_in_border()
            await wait(watch, lambda: watch.state() is watch.state(6) is HealthState.OK)
            (folder / PAUSE).touch()
            # Everything that was committed arrives, exactly once, and nothing else.
            await until(lambda: observatory.has_exactly(watch.measurements()), seconds=_LIMIT)
            received = observatory.measurements()

    assert arrived < len(received) - 60, "batches arrived during the cut"
    # Probes in progress when the cable came back may have succeeded.
    in_cut = within(watch, detected, last - 2 * TIMEOUT)
    near = [one for one in in_cut if one.target.startswith(("lan", "domestic", "isp"))]
    far = [one for one in in_cut if one.target.startswith(("international", SUBJECT))]
    assert len(near) > 10
    assert len(far) > 5
    assert not any(one.host_responded for one in far)
    # A busy machine may label some measurements as local.
    assert sum(one.host_responded for one in near) > 0.9 * len(near)
    assert sum(one.scope != "local" for one in far) > 0.9 * len(far)
    # The collector has the state changes of both families.
    for family in (4, 6):
        events = [one for one in received if one.target == f"@health-v{family}" and one.time > cut]
        events.sort(key=lambda one: one.time)
        words = [one.failure for one in events]
        assert "intl_cut" in words
        assert not {"isp_cut", "lan_down", "captive"} & set(words)
        # Healthy again, and not before the cable is back. A busy machine may be degraded once more
        # before it pauses.
        after = events[words.index("intl_cut") :]
        healthy = [one.time for one in after if one.failure is None]
        assert healthy
        assert healthy[0] > last - 2 * TIMEOUT
