"""The dashboards alive: every query, with its variables filled, on a real server with data."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from grafana_files import ROOT, by_file, load, statements
from influx_servers import fresh_login, open_store

from netwatch.app.dashboard_exporter import level_text
from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityInfo, EntityKind, EntityTree
from netwatch.model.incident import Incident, IncidentState, RevisionReason
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.influx.health_points import HealthPoint
from netwatch.store.influx.store import InfluxStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
IRAN = Entity(EntityKind.COUNTRY, "IR")
REGION = Entity(EntityKind.REGION, "IR-07")
ASN = Entity(EntityKind.ASN, "44244")
DOMAIN = Entity(EntityKind.DOMAIN, "example.org")


def incident(number: int, **more: object) -> Incident:
    percent = PublishedPercent(7.0, 4.5, 10.0, Precision.EXACT)
    parts = {
        "id": f"NW-IR-2026-{number:04}",
        "revision": 1,
        "state": IncidentState.CONFIRMED,
        "reason": RevisionReason.CONFIRMED,
        "entity": IRAN,
        "started_at": T0 + number * STEP,
        "started_low": T0,
        "started_high": T0 + STEP,
        "ended_at": None,
        "provisional_at": T0,
        "confirmed_at": T0,
        "at": T0 + 12 * STEP,
        "percent": percent,
        "trough": percent,
        "trough_at": T0,
        "progressive_hours": None,
        "networks_lost": 1,
        "networks_measured": 1,
        "affected": (),
        "signals": (),
        "evidence_level": number % 5,
        "baseline": Baseline(BaselineKind.HOUR_OF_WEEK, 56),
    }
    return Incident(**(parts | more))


def fleet(time: datetime, asn: str, **fields: float) -> HealthPoint:
    return HealthPoint("fleet", time, {**fields, "networks": 1}, {"asn": asn, "version": "0.1.0"})


def health(time: datetime) -> list[HealthPoint]:
    collector, analysis = {"stage": "collector"}, {"stage": "analysis"}
    first = {"messages": 30, "delay_seconds": 2.5, "backlog": 0, "write_errors": 0, "refused": 0}
    judged = {
        "messages": 75,
        "detector_seconds": 0.2,
        "provisional": 1,
        "suppressed": 0,
        "breaker_open": 0,
    }
    review = {
        "waiting": 2,
        "oldest_seconds": 600.0,
        "onset_to_post_seconds": 1800.0,
        "corrections": 1,
    }
    big = {"online": 4, "enrolled": 5, "silent_seconds": 12.0, "queue": 3, "clock_offset_ms": -3.5}
    small = {"online": 1, "enrolled": 2, "silent_seconds": 1.0, "queue": 0, "clock_offset_ms": 0.5}
    return [
        HealthPoint("pipeline", time, first, collector),
        HealthPoint("pipeline", time, judged, analysis),
        HealthPoint(
            "pipeline", time, first | {"backlog": 4, "write_errors": 1, "refused": 2}, collector
        ),
        fleet(time, "44244", **big, rejected=0),
        fleet(time, "9", **small, rejected=1),
        *(
            HealthPoint(
                "outbox",
                time,
                {"posts": 2, "oldest_seconds": 9.0},
                {"channel": "file", "state": state},
            )
            for state in ("ready", "needs_review", "unknown")
        ),
        HealthPoint("channel", time, {"headroom": 0.75}, {"channel": "file"}),
        HealthPoint("review", time, review, {}),
    ]


@pytest.fixture(scope="module")
def seeded() -> Iterator[InfluxStore]:
    """A store that holds an hour of everything, one value of it a measured zero, one none."""
    with fresh_login() as login:
        store = open_store(login)
        signals = ("reachability", "dns", "tcp", "tls", "http", "latency", "bgp")
        keys = [
            SeriesKey(signal, entity)
            for signal in signals
            for entity in (IRAN, REGION, ASN, DOMAIN)
        ]
        for step in range(12):
            time = T0 + step * STEP
            store.put_bins([Bin(time, key, float(step), 20.0) for key in keys])
            value = None if step == 5 else step / 12
            store.put_levels([Level(time, key, value, value, value, 0.9, 1.0, 3) for key in keys])
            store.put_health(health(time))
        store.put_incidents(
            [incident(number) for number in range(10)],
            link="https://nw.example/i/",
            level_text=level_text,
        )
        places = [
            EntityInfo(IRAN, "Iran"),
            EntityInfo(REGION, "Tehran", parent=IRAN),
            EntityInfo(ASN, "IranCell", parent=IRAN),
        ]
        store.put_places(EntityTree(places), at=T0)
        for entity in (ASN,):
            store.put_incidents(
                [incident(20, entity=entity)], link="https://nw.example/i/", level_text=level_text
            )
        yield store
        store.close()


def fill(query: str, values: dict[str, list[str]]) -> str:
    """Put values where Grafana does."""
    query = query.replace(
        "$timeFilter", "time >= '2026-02-28T00:00:00Z' AND time < '2026-03-02T00:00:00Z'"
    )
    query = query.replace("$__interval", "5m")
    for name, chosen in values.items():
        pattern = f"({'|'.join(map(re.escape, chosen))})"
        query = query.replace(f"${{{name}:regex}}", pattern).replace(f"${name}", chosen[0])
    assert "$" not in query.replace("$/", ""), query
    return query


def chosen_values(store: InfluxStore, board: dict) -> dict[str, list[str]]:
    """What each variable of a dashboard offers, asked in order as Grafana does."""
    values: dict[str, list[str]] = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found = store.client.query(fill(variable["query"], values)).rows
            values[variable["name"]] = [str(row[-1]) for row in found]
            assert values[variable["name"]], f"{variable['name']} offers nothing"
            if variable["name"] == "signal" and not variable["multi"]:
                values["signal"] = ["reachability"]
        elif variable["type"] == "custom":
            values[variable["name"]] = [variable["current"]["value"]]
    return values


@by_file
def test_every_query_runs_and_finds_data(seeded: InfluxStore, path: Path) -> None:
    board = load(path)
    values = chosen_values(seeded, board)
    asked = 0
    for where, query in statements(board):
        table = seeded.client.query(fill(query, values))
        # The first column is the time, or, of SHOW TAG VALUES, the tag's name.
        said = [cell for row in table.rows for cell in row[1:] if cell is not None]
        assert said, f"{where} finds nothing: {fill(query, values)}"
        asked += 1
    assert asked >= 10 or path.stem == "compare"


def test_variables_offer_the_country_s_own_regions_and_networks(seeded: InfluxStore) -> None:
    values = chosen_values(seeded, load(ROOT / "observatory" / "country.json"))
    assert values["country"] == ["IR"]
    assert values["region"] == ["IR-07"]
    assert values["asn"] == ["44244"]


def test_a_gap_stays_a_gap_and_a_zero_a_zero(seeded: InfluxStore) -> None:
    board = load(ROOT / "observatory" / "country.json")
    values = chosen_values(seeded, board)
    values["signal"] = ["reachability"]
    query = next(text for where, text in statements(board) if where.endswith("ordinary B"))
    table = seeded.client.query(fill(query, values))
    drawn = {row[0]: row[1] for row in table.rows}
    nanoseconds = int(T0.timestamp()) * 10**9
    assert drawn[nanoseconds] == 0
    assert drawn[nanoseconds + 5 * 300 * 10**9] is None
    assert drawn[nanoseconds + 6 * 300 * 10**9] == pytest.approx(50)


def test_an_annotation_has_its_start_its_end_and_its_text(seeded: InfluxStore) -> None:
    ended = incident(3, state=IncidentState.RESOLVED, ended_at=T0 + 8 * STEP, revision=2)
    moved = incident(4, started_at=T0 + 11 * STEP, revision=2)
    seeded.put_incidents(
        [incident(3), ended, incident(4), moved],
        link="https://nw.example/i/",
        level_text=level_text,
    )
    target = load(ROOT / "observatory" / "country.json")["annotations"]["list"][0]["target"]
    table = seeded.client.query(fill(target["query"], {"country": ["IR"]}))
    rows = {row[1]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert len(table.rows) == len(rows) == 10
    row = rows["NW-IR-2026-0003 country:IR"]
    assert row["time"] == int((T0 + 3 * STEP).timestamp()) * 10**9
    assert row[target["timeEndColumn"]] == int((T0 + 8 * STEP).timestamp()) * 1000
    assert row[target["textColumn"]] == (
        "resolved: 7% of ordinary. https://nw.example/i/NW-IR-2026-0003"
    )
    began = rows["NW-IR-2026-0004 country:IR"]["time"]
    assert began == int((T0 + 11 * STEP).timestamp()) * 10**9
