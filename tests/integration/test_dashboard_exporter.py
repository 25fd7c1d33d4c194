"""Incidents, places and health are exported to InfluxDB once, in their newest revision."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from influx_servers import fresh_login, shared_influxd

from netwatch.app.dashboard_exporter import InfluxExporter, run_exporter
from netwatch.app.observatory import ObservatoryContext, open_context
from netwatch.config import parse_config
from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.incident import Incident, IncidentState, Post, RevisionReason
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.protocols import OutboxState
from netwatch.store.influx.store import InfluxStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
INCIDENT = Incident(
    id="NW-IR-2026-0001",
    revision=1,
    state=IncidentState.PROVISIONAL,
    reason=RevisionReason.OPENED,
    entity=Entity(EntityKind.COUNTRY, "IR"),
    started_at=T0,
    started_low=T0,
    started_high=T0 + STEP,
    ended_at=None,
    provisional_at=T0,
    confirmed_at=T0 + STEP,
    at=T0 + STEP,
    percent=PublishedPercent(7.0, 4.5, 10.0, Precision.NONE),
    trough=PublishedPercent(7.0, 4.5, 10.0, Precision.NONE),
    trough_at=T0,
    progressive_hours=None,
    networks_lost=1,
    networks_measured=1,
    affected=(),
    signals=(),
    evidence_level=1,
    baseline=Baseline(BaselineKind.HOUR_OF_WEEK, 56),
)
POST = Post("a" * 64, INCIDENT.id, 1, "file", "en", "confirmed", "text", "picture", T0)


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObservatoryContext]:
    with fresh_login() as login:
        monkeypatch.setenv("NW_TOKEN", login.password)
        config = parse_config(
            f'data = "{tmp_path}"\n[store]\nengine = "influx"\n'
            f'[stores.influx]\nurl = "{login.url}"\n'
            f'database = "{login.database}"\npassword = "$NW_TOKEN"\ntimeout = "300ms"\n'
            '[publish]\nchannels = ["file"]\nurl = "https://nw.example/"\n'
            '[[place]]\nentity = "country:IR"\nname = "Iran"\n'
            '[[place]]\nentity = "asn:44244"\nname = "IranCell"\nparent = "country:IR"\n'
        )
        with open_context(config, clock=lambda: T0 + 2 * STEP) as parts:
            yield parts


def rows(opened: ObservatoryContext, statement: str) -> list[dict[str, object]]:
    assert isinstance(opened.store, InfluxStore)
    table = opened.store.client.query(statement)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def exporter_of(opened: ObservatoryContext) -> InfluxExporter:
    assert isinstance(opened.store, InfluxStore)
    return InfluxExporter(opened)


def test_incidents_places_and_health_are_as_in_the_ledger(opened: ObservatoryContext) -> None:
    opened.ledger.record([INCIDENT], [POST])
    opened.store.put_bins([], closed_until=T0)
    exporter = exporter_of(opened)
    opened.metrics.batches.labels("stored").inc(7)
    opened.metrics.intervals.labels("refused").inc(2)
    exporter.export(T0 + 2 * STEP)
    (shown,) = rows(opened, 'SELECT * FROM "incident"')
    assert shown["id"] == INCIDENT.id
    assert shown["level"] == "too few measurements to say"
    assert shown["url"] == "https://nw.example/i/NW-IR-2026-0001"
    places = rows(opened, 'SELECT * FROM "place"')
    assert {(row["scope_id"], row["country"], row["name"]) for row in places} == {
        ("IR", "IR", "Iran"),
        ("44244", "IR", "IranCell"),
    }
    waiting = rows(opened, 'SELECT * FROM "outbox" WHERE "state" = \'ready\'')
    assert [(row["channel"], row["posts"]) for row in waiting] == [("file", 1)]
    (none,) = rows(opened, 'SELECT * FROM "outbox" WHERE "state" = \'needs_review\'')
    assert none["posts"] == 0
    stages = {row["stage"]: row for row in rows(opened, 'SELECT * FROM "pipeline"')}
    assert stages["collector"]["messages"] == 7
    assert stages["collector"]["refused"] == 2
    assert stages["analysis"]["provisional"] == 1
    assert stages["analysis"]["delay_seconds"] == 600


def test_a_revision_replaces_the_annotation_and_a_post_gives_its_delay(
    opened: ObservatoryContext,
) -> None:
    opened.ledger.record([INCIDENT], [POST])
    exporter = exporter_of(opened)
    exporter.export(T0 + STEP)
    assert opened.ledger.outbox.claim(POST.key, at=T0 + STEP)
    opened.ledger.outbox.mark(POST.key, OutboxState.SENT, at=T0 + 3 * STEP)
    moved = replace(INCIDENT, revision=2, state=IncidentState.CONFIRMED, started_at=T0 - STEP)
    opened.ledger.record([moved], [])
    opened.metrics.batches.labels("stored").inc(2)
    exporter.export(T0 + 4 * STEP)
    current = rows(opened, 'SELECT "state" FROM "incident" WHERE "current" = true')
    assert [row["state"] for row in current] == ["confirmed"]
    assert len(rows(opened, 'SELECT "state" FROM "incident"')) == 2
    (newest,) = rows(opened, 'SELECT last("onset_to_post_seconds") AS "s" FROM "review"')
    assert newest["s"] == 20 * 60


async def test_a_server_that_is_away_is_waited_for(opened: ObservatoryContext) -> None:
    assert isinstance(opened.store, InfluxStore)
    opened.ledger.record([INCIDENT], [])
    database = opened.store.client.dsn.database
    shared_influxd().execute(f'DROP DATABASE "{database}"')
    task = asyncio.create_task(run_exporter(opened, interval=0.05))
    await asyncio.sleep(0.3)
    assert not task.done()
    shared_influxd().execute(f'CREATE DATABASE "{database}"')
    for _ in range(200):
        if await asyncio.to_thread(rows, opened, 'SELECT * FROM "review"'):
            break
        await asyncio.sleep(0.05)
    task.cancel()
    assert len(rows(opened, 'SELECT * FROM "incident"')) == 1


def test_other_stores_do_not_import_the_influxdb_client() -> None:
    code = (
        "import sys, netwatch.app.observatory, netwatch.app.factories, netwatch.cli.main;"
        "sys.exit(bool({'netwatch.store.influx.client', 'influxdb_client'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_version_1_6_is_written_to_without_loading_influxdb_client() -> None:
    code = (
        "import sys; from netwatch.store.influx.store import InfluxStore;"
        "store = InfluxStore.at(sys.argv[1]); store.client.write(['a v=1 1']); store.close();"
        "sys.exit('influxdb_client' in sys.modules)"
    )
    with fresh_login() as dsn:
        login = f"{quote(dsn.username)}:{quote(dsn.password)}"
        location = f"{dsn.url.replace('://', f'://{login}@')}/{dsn.database}"
        command = [sys.executable, "-c", code, location]
        assert subprocess.run(command, env=os.environ, check=False).returncode == 0


def test_an_unconfirmed_incident_is_counted_but_not_exported(opened: ObservatoryContext) -> None:
    opened.ledger.record([replace(INCIDENT, confirmed_at=None)], [])
    exporter_of(opened).export(T0 + STEP)
    assert rows(opened, 'SELECT * FROM "incident"') == []
