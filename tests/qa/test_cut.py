"""A country is cut off while an agent measures: it goes on, keeps, and delivers everything."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority
from namespaces import need_namespaces
from qa.bench import Bench, Watch, prepare
from qa.country import ABROAD, Country
from qa.observatory import Observatory, count, relay
from qa.vantage import IT
from qa.whole import PAUSE, House
from servers import until

from netwatch.agent.health.health import HealthState
from netwatch.model.measurement import Measurement

pytestmark = pytest.mark.timeout(120)
TIMEOUT = timedelta(seconds=2)
_BROKER = 1883


def now() -> datetime:
    return datetime.now(UTC)


def within(watch: Watch, start: datetime, end: datetime) -> list[Measurement]:
    return [one.measurement for one in watch.heard if start < one.measurement.time < end]


def committed(watch: Watch) -> list[Measurement]:
    return [one.measurement for one in watch.heard]


async def wait(watch: Watch, condition: Callable[[], bool]) -> datetime:
    assert await watch.until(condition, seconds=60)
    return now()


async def test_a_cut_is_measured_through_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    need_namespaces()
    prepare()
    async with Bench(0, tmp_path, Authority(tmp_path)) as bench:
        country = await bench.stack.enter_async_context(Country(bench))
        job = country.job()
        observatory = await bench.stack.enter_async_context(Observatory(tmp_path, job.targets))
        door = country.abroad.listening(ABROAD[4][0], _BROKER)
        await bench.stack.enter_async_context(relay(door, observatory.port))
        folder = tmp_path / "agent"
        folder.mkdir()
        house = House(str(folder), (ABROAD[4][0], _BROKER))
        async with Watch(job.at(house=house, period=1.0, timeout=TIMEOUT.total_seconds())) as watch:
            await wait(watch, lambda: watch.state() is watch.state(6) is HealthState.OK)
            await wait(watch, lambda: len(observatory.kept()) > 20)
            cut = now()
            country.pull_border()
            seen = await wait(watch, lambda: watch.state() is HealthState.INTL_CUT)
            # Long enough that everything is asked again, and batches pile up.
            await wait(watch, lambda: len(within(watch, seen, now())) > 100)
            arrived = len(observatory.kept())
            last = now()
            country.plug_in_border()
            await wait(watch, lambda: watch.state() is watch.state(6) is HealthState.OK)
            (folder / PAUSE).touch()
            # Everything that was committed arrives, nothing twice, and nothing else.
            await until(lambda: observatory.counted() == count(committed(watch)), seconds=60)
            kept = observatory.kept()

    assert arrived < len(kept) - 60, "the cut did not keep anything from arriving"
    # What was under way when the cable came back may have succeeded.
    in_cut = within(watch, seen, last - 2 * TIMEOUT)
    near = [one for one in in_cut if one.target.startswith(("lan", "domestic", "isp"))]
    far = [one for one in in_cut if one.target.startswith(("international", IT))]
    assert len(near) > 10
    assert len(far) > 5
    assert not any(one.host_responded for one in far)
    # A machine that is held up now and then says so, and that is no failure of this.
    assert sum(one.host_responded for one in near) > 0.9 * len(near)
    assert sum(one.scope != "local" for one in far) > 0.9 * len(far)
    # What the collector has says so too: the state, from when to when, for both families.
    for family in (4, 6):
        notes = [one for one in kept if one.target == f"@health-v{family}" and one.time > cut]
        words = [one.failure for one in sorted(notes, key=lambda one: one.time)]
        assert "intl_cut" in words
        assert not {"isp_cut", "lan_down", "captive"} & set(words)
        assert words[-1] is None
