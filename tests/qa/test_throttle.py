"""A line of 64 kbit/s: the probe's rate and the speed signal show it."""

from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest
import server_faults
from certificates import Authority
from closed_bins import closed_bin
from namespaces import need_namespaces
from qa.bench import Bench, Watch, prepare
from qa.country import DOMESTIC, SITE, Country
from qa.full_agent import VANTAGE
from qa.vantage import SUBJECT, Job

from netwatch.model.measurement import Measurement, Target
from netwatch.signals.attribution.contingency import CONTROL_GROUP
from netwatch.signals.relative_speed import slowness, speed_bins

pytestmark = pytest.mark.timeout(90)
BODY = b"x" * 16_384
RATE = 64_000 / 8
"""Bytes per second that the token bucket passes, packet headers included."""
NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)

TARGETS = (
    Target(SUBJECT, "transfer", SITE[4], port=80, domain="site.example", country="XX"),
    Target("control", "transfer", DOMESTIC[4][0], port=80, group=CONTROL_GROUP, country="XX"),
)


def rates(rows: list[Measurement], target: str) -> list[float]:
    """Return the bytes per second of each transfer from one target."""
    return [1 / slow for one in rows if one.target == target and (slow := slowness(one))]


def speed(rows: list[Measurement]) -> float:
    """Return the speed signal of the site, relative to the control."""
    targets = {target.id: target for target in TARGETS}
    found = speed_bins(closed_bin(NOON, [(VANTAGE, one) for one in rows], targets))
    (only,) = [one for one in found if one.series.signal == "speed:XX"]
    return only.value


async def gather(watch: Watch, count: int) -> list[Measurement]:
    """Return the next measurements, once `count` of them are of the site."""
    before = len(watch.reports)

    def enough() -> bool:
        return sum(one.measurement.target == SUBJECT for one in watch.reports[before:]) >= count

    assert await watch.until(enough, seconds=60)
    # Probes in progress at the change are left out.
    return [one.measurement for one in watch.reports[before:]][2:]


async def test_a_throttled_border_shows_in_rate_and_signal(tmp_path: Path) -> None:
    need_namespaces()
    prepare()
    async with Bench(0, tmp_path, Authority(tmp_path)) as bench:
        country = await bench.stack.enter_async_context(Country(bench))
        page = server_faults.http_answer("200 OK", body=BODY)
        await country.serve(country.abroad, SITE[4], page, port=80)
        await country.serve(country.country, DOMESTIC[4][0], page, port=80)
        job = Job(TARGETS, timeout=9.0, period=0.5, namespace=country.home.path)
        async with Watch(job) as watch:
            before = await gather(watch, 6)
            country.throttle_border()
            after = await gather(watch, 4)

    slow, fast = rates(after, SUBJECT), rates(before, SUBJECT)
    assert len(slow) >= 2, "a slow transfer still succeeds"
    # The bucket holds 4 kB; headers are included in the rate.
    assert 0.5 * RATE < median(slow) < 1.4 * RATE
    assert median(fast) > 10 * RATE
    assert median(rates(after, "control")) > 10 * RATE
    # The control is not throttled.
    assert speed(after) < speed(before) / 10
