"""Iran, January 2026, 19 days long; and February 2026, when sites flapped and nothing happened."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from past_events import ReplayResult, data_folder, iran_january_2026, longform, replay

from netwatch.model.incident import IncidentState
from netwatch.model.series import SeriesKey
from netwatch.sources.long_table import SeriesTable

SIGNALS = ("probing", "bgp", "telescope", "traffic")
BEGAN = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
ENDED = datetime(2026, 1, 27, 7, 30, tzinfo=UTC)
DAY_19 = datetime(2026, 1, 26, 12, 0, tzinfo=UTC)
TWO_BINS = timedelta(hours=1)


@pytest.fixture(scope="module")
def blackout() -> ReplayResult:
    return replay(iran_january_2026(*SIGNALS))


def test_the_blackout_is_one_incident_from_start_to_end(blackout: ReplayResult) -> None:
    [incident] = blackout.newest()
    assert str(incident.entity) == "country:IR"
    assert abs(incident.started_at - BEGAN) <= TWO_BINS
    assert incident.state is IncidentState.RESOLVED
    assert incident.ended_at is not None
    assert abs(incident.ended_at - ENDED) <= TWO_BINS


def test_on_day_19_the_outage_is_not_ordinary(blackout: ReplayResult) -> None:
    table = iran_january_2026("probing").frame
    day, december = table["time"] == DAY_19, table["time"] < "2026-01-01"
    true = float(table.loc[day, "value"].iloc[0] / table.loc[december, "value"].median())
    level = blackout.level("probing", "country:IR", DAY_19)
    assert level.value is not None
    assert abs(level.value - true) <= 0.02
    assert level.value < 0.1
    assert level.probability > 0.95
    since = level.baseline.frozen_since
    assert since is not None
    assert abs(since - BEGAN) <= timedelta(hours=3)


def test_names_the_signals_that_agree_and_those_that_do_not(blackout: ReplayResult) -> None:
    deep = [one for one in blackout.revisions if one.at.day == 10 and one.at.month == 1]
    assert deep
    signals = dict(deep[-1].signals)
    assert signals["probing"] is True
    assert signals["bgp"] is False
    assert signals["traffic"] is True
    assert deep[-1].evidence_level == 2


def test_the_percentage_is_of_active_probing_alone(blackout: ReplayResult) -> None:
    deep = next(one for one in blackout.revisions if one.at.day >= 10 and one.at.month == 1)
    level = blackout.level("probing", "country:IR", deep.at)
    assert level.value is not None
    assert deep.percent.value == pytest.approx(100 * level.value)


@pytest.mark.parametrize(("signal", "hour"), [("telescope", 18), ("traffic", 18.5)])
def test_a_passive_signal_alone_is_provisional_and_never_sure(signal: str, hour: float) -> None:
    result = replay(iran_january_2026(signal))
    [incident] = result.newest()
    fell = datetime(2026, 1, 8, tzinfo=UTC) + timedelta(hours=hour)
    assert abs(incident.started_at - fell) <= TWO_BINS
    assert incident.provisional_at <= fell + 2 * TWO_BINS
    assert all(one.confirmed_at is None for one in result.revisions)
    assert incident.state is IncidentState.EXPIRED
    assert incident.ended_at is not None
    assert incident.ended_at.day >= 18
    assert result.public() == []
    assert result.posts == []


def test_routes_alone_open_nothing() -> None:
    assert replay(iran_january_2026("bgp")).revisions == []


def test_no_level_of_bgp_is_sure_of_a_blackout() -> None:
    result = replay(iran_january_2026("bgp"))
    [levels] = result.levels.values()
    assert [level.time for level in levels if level.value is not None and level.value < 0.8] == []


def february(*, networks: bool) -> SeriesTable:
    """Return the probes of Iranian sites as domains, or each as a network of weight 1."""
    folder = data_folder("iran-2026-02-domain-probes") / "history"
    files = [
        path
        for path in sorted(folder.glob("*.csv"))
        # The others are series of other observatories, not probes.
        if path.stem.startswith(("ir-", "isp-")) or path.stem[0].isupper() or path.stem.isdigit()
    ]
    assert len(files) > 80
    names = ["time", "status", "value", "milliseconds", "code"]
    parts = []
    for number, path in enumerate(files):
        rows = pd.read_csv(path, names=names, usecols=[0, 1])
        rows = rows[rows["status"] != "unknown"]
        rows["entity"] = f"asn:{64512 + number}" if networks else f"domain:{path.stem}.ir"
        rows["name"] = path.stem
        parts.append(rows)
    frame = pd.concat(parts)
    country = {"entity": "country:IR", "name": "Iran", "time": "1970-01-01T00:00Z"}
    table = pd.DataFrame(
        {
            "time": frame["time"],
            "signal": "reachability",
            "entity": frame["entity"],
            "value": np.where(frame["status"] == "down", "0", "1"),
            "total": "1",
            "parent": "country:IR",
            "weight": "1",
            "name": frame["name"],
        }
    )
    table = pd.concat([table, pd.DataFrame([country | {"signal": "places"}])]).fillna("")
    return longform(table, width=timedelta(hours=1))


def test_flapping_sites_open_no_incident_of_a_wider_scope() -> None:
    result = replay(february(networks=False))
    assert {str(one.entity.kind) for one in result.revisions} <= {"domain"}
    assert result.levels, "nothing was judged"


def test_flapping_networks_open_no_incident_of_the_country() -> None:
    result = replay(february(networks=True))
    assert [one for one in result.revisions if str(one.entity) == "country:IR"] == []
    assert len(result.levels) > 80


def test_always_unreachable_networks_are_dead_and_have_no_value() -> None:
    result = replay(february(networks=True))
    dead = [levels for levels in result.levels.values() if not levels[-1].usable]
    assert len(dead) > 20
    assert all(level.value is None for levels in dead for level in levels)


def test_the_targets_that_are_always_down_are_named_as_dead() -> None:
    table = february(networks=True)
    counts = table.frame[table.frame["signal"] == "reachability"].groupby("entity")
    share = counts["value"].sum() / counts["total"].sum()
    always_down = {str(entity) for entity in share.index[share == 0]}
    assert len(always_down) > 20
    result = replay(table)
    dead = {str(key.entity) for key, levels in result.levels.items() if not levels[-1].usable}
    assert always_down <= dead
    assert max(share[entity] for entity in dead) < 0.2
    alive = {str(entity) for entity in share.index[share > 0.5]}
    assert not dead & alive


def test_probes_are_counted_in_the_hour_they_came_in() -> None:
    table = february(networks=True)
    assert table.width == timedelta(hours=1)
    counts = table.frame
    assert (counts["value"] <= counts["total"]).all()
    assert (counts["total"] > 1).any()
    assert counts["time"].dt.minute.eq(0).all()
    keys = {(entry.series, entry.time) for entry in table.bins()}
    assert len(keys) == len(counts)
    assert all(isinstance(key, SeriesKey) for key, _ in keys)
