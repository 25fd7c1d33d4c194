"""Lasting losses are not learned, except a permanent change of a network, which is flagged."""

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from series import COUNTRY, HOUR, START, Bins, by_key, country_atlas, hours, key, noisy, run

from netwatch.detect.detector import BayesFilterDetector
from netwatch.lab.backtest.runner import run_backtest
from netwatch.model.entities import EntityTree
from netwatch.model.series import Bin, Level

DAY = timedelta(days=1)
NETWORKS = 6
MOVED, TAKER = "asn:64496", "asn:64498"
CHANGE = START + 14 * DAY

Share = Callable[[str, int, datetime], float]
"""Returns signal, network and time -> what is left of the ordinary."""


def national_bins(days: int, left: Share, *, signals: tuple[str, ...]) -> Bins:
    """Return hourly bins of six networks: answers of 1000 probes, or 1000 routes."""
    noise, bins = noisy(5, spread=0.004), Bins()
    for time in hours(24 * days):
        row = []
        for network in range(NETWORKS):
            for signal in signals:
                value = 900 * left(signal, network, time) * noise()
                total = 1000.0 if signal in {"probing", "agents"} else None
                row.append(Bin(time, key(f"asn:{64496 + network}", signal), value, total))
        bins.append((time, row))
    return bins


def evaluate(bins: Bins, atlas: EntityTree | None = None) -> list[list[Level]]:
    detector = BayesFilterDetector(atlas or country_atlas(), width=HOUR, min_history=10 * DAY)
    return run(detector, bins)


def migration(signal: str, network: int, time: datetime) -> float:
    """Six tenths of a network's routes are announced by another from `CHANGE` on."""
    if signal != "bgp" or time < CHANGE:
        return 1.0
    return {0: 0.4, 2: 1.6}.get(network, 1.0)


def at(levels: list[Level], time: datetime) -> Level:
    return next(level for level in levels if level.time == time)


def test_a_migration_is_ordinary_after_two_days() -> None:
    steps = evaluate(national_bins(20, migration, signals=("probing", "bgp")))
    moved = list(by_key(steps, key(MOVED, "bgp")))
    assert at(moved, CHANGE + 47 * HOUR).value == pytest.approx(0.4, abs=0.02)
    assert at(moved, CHANGE + 47 * HOUR).probability > 0.95
    for hour in range(52, 24 * 6):
        level = at(moved, CHANGE + hour * HOUR)
        assert level.value == pytest.approx(1.0, abs=0.04)
        assert level.probability < 0.5
    for name in ("bgp", "probing", "connectivity"):
        country = by_key(steps, key(str(COUNTRY), name))
        assert max(level.probability for level in country) < 0.8


@pytest.mark.parametrize(
    ("signals", "ordinary"), [(("probing", "agents", "bgp"), True), (("agents", "bgp"), False)]
)
def test_leaving_volunteers_do_not_delay_a_shift_that_probing_confirms(
    signals: tuple[str, ...], *, ordinary: bool
) -> None:
    """Half of them are away each night; without other witnesses that speaks against it."""

    def left(signal: str, network: int, time: datetime) -> float:
        away = signal == "agents" and network == 0 and time >= CHANGE and time.hour < 4
        return 0.5 if away else migration(signal, network, time)

    steps = evaluate(national_bins(20, left, signals=signals))
    level = at(list(by_key(steps, key(MOVED, "bgp"))), CHANGE + 60 * HOUR)
    assert (level.value > 0.9) is ordinary


@pytest.mark.parametrize("signal", ["probing", "bgp"])
def test_a_loss_of_users_never_becomes_ordinary(signal: str) -> None:
    """Both routes and answers of a network fall: it is out, whatever its neighbours do."""

    def left(_: str, network: int, time: datetime) -> float:
        return 0.4 if network == 0 and time >= CHANGE else 1.0

    steps = evaluate(national_bins(30, left, signals=("probing", "bgp")))
    last = list(by_key(steps, key(MOVED, signal)))[-1]
    assert last.value == pytest.approx(0.4, abs=0.02)
    assert last.probability > 0.95
    assert last.baseline.shifted_to == 0.4


def test_a_lasting_shift_is_flagged_after_14_days() -> None:
    def left(_: str, network: int, time: datetime) -> float:
        return 0.4 if network == 0 and time >= CHANGE else 1.0

    steps = evaluate(national_bins(29, left, signals=("probing",)))
    lost = list(by_key(steps, key(MOVED)))
    assert at(lost, CHANGE + 13 * DAY).baseline.shifted_to is None
    assert at(lost, CHANGE + 14 * DAY + HOUR).baseline.shifted_to is not None


def test_addresses_that_moved_are_ordinary_even_where_probing_counts_them() -> None:
    """Counts of blocks that answer move with the routes, and what one lost another gained."""

    def left(_: str, network: int, time: datetime) -> float:
        return {0: 0.4, 2: 1.6}.get(network, 1.0) if time >= CHANGE else 1.0

    steps = evaluate(national_bins(20, left, signals=("telescope", "bgp")))
    assert list(by_key(steps, key(MOVED, "bgp")))[-1].value == pytest.approx(0.4, abs=0.02)
    counted = national_bins(20, left, signals=("traffic", "bgp"))
    steps = evaluate(counted)
    for name in ("traffic", "bgp"):
        last = list(by_key(steps, key(MOVED, name)))[-1]
        assert last.value == pytest.approx(1.0, abs=0.04)
        assert last.probability < 0.5


def test_routes_alone_do_not_count_as_users() -> None:
    steps = evaluate(national_bins(20, migration, signals=("bgp",)))
    assert list(by_key(steps, key(MOVED, "bgp")))[-1].value == pytest.approx(0.4, abs=0.02)


def test_no_shift_is_accepted_within_a_wider_loss() -> None:
    """Routes of the whole country fall while probing answers: no network of it is excused."""

    def left(signal: str, _: int, time: datetime) -> float:
        return 0.4 if signal == "bgp" and time >= CHANGE else 1.0

    steps = evaluate(national_bins(20, left, signals=("probing", "bgp")))
    for entity in (MOVED, TAKER, str(COUNTRY)):
        last = list(by_key(steps, key(entity, "bgp")))[-1]
        assert last.value == pytest.approx(0.4, abs=0.02)


def flat_outage(width: timedelta, *, teach: timedelta) -> pd.DataFrame:
    """Return a country of three networks at 7 % for 31 days, as a researcher would bring it."""
    noise = noisy(9)
    start, end = START + teach, START + teach + 31 * DAY
    times = pd.date_range(START, end + DAY, freq=width, inclusive="left")
    level = np.where((times >= start) & (times < end), 0.07, 1.0)
    frames = [
        pd.DataFrame(
            {
                "time": times,
                "entity": f"asn:{64496 + network}",
                "signal": "probing",
                "value": np.round([5000 * one * noise() for one in level]),
                "parent": "region:XT-01",
            }
        )
        for network in range(3)
    ]
    wider = pd.DataFrame({"time": times[:1], "entity": "region:XT-01", "signal": "probing"})
    return pd.concat([*frames, wider.assign(value=np.nan, parent="country:XT")])


@pytest.mark.parametrize(
    "minutes", [pytest.param(5, marks=pytest.mark.long), pytest.param(30), pytest.param(60)]
)
def test_an_outage_of_31_days_is_not_learned(minutes: int) -> None:
    teach = 7 * DAY
    frame = flat_outage(timedelta(minutes=minutes), teach=teach)
    levels, incidents = run_backtest(frame, training_until=START + teach)
    end = START + teach + 31 * DAY
    for entity in ("asn:64496", "region:XT-01", "country:XT"):
        entity_levels = levels[levels["entity"] == entity].set_index("time")["level"]
        last = entity_levels[end - 2 * HOUR : end - timedelta(minutes=minutes)]  # type: ignore[misc]
        assert len(last) > 1
        assert last.mean() == pytest.approx(0.07, abs=0.02)
        after = entity_levels[end:]  # type: ignore[misc]
        assert after.mean() == pytest.approx(1.0, abs=0.02)
    (incident,) = [one for one in incidents if one["entity"] == "country:XT"]
    assert incident["ended_at"] is not None
