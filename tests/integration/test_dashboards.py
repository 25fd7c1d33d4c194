"""The dashboards: of Grafana's own schema, about nothing that the store does not write, alive."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
import yaml
from influx_servers import fresh_login, open_store
from servers import need

from netwatch.model.atlas import Atlas
from netwatch.model.entity import Entity, EntityKind, Place
from netwatch.model.incident import Incident, IncidentState, Percent, Reason
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.influx import InfluxStore
from netwatch.store.influx_health import (
    ChannelHealth,
    FleetHealth,
    Health,
    OutboxHealth,
    PipelineHealth,
    ReviewHealth,
)
from netwatch.store.influx_schema import SCHEMA

ROOT = Path(__file__).parents[2] / "dashboards"
PROVISIONING = ROOT / "provisioning"
FILES = sorted(ROOT.glob("o*/*.json"))
NPM = ("@grafana/schema@13.2.3", "typescript@5.9.3")
T0 = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
CHARTS = {"timeseries"}
DRAWN = CHARTS | {"state-timeline", "status-history"}
# A data source keeps keys of its own in an annotation's target; Grafana's schema has no word
# for them, and its type admits no others.
ANNOTATION_KEYS = {"refId", "queryType"}
# TypeScript takes an enumeration's member for a word, and no word beside it.
WORDS = {
    '"mode": "thresholds"': '"mode": FieldColorModeId.Thresholds',
    '"mode": "absolute"': '"mode": ThresholdsMode.Absolute',
}


def load(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def statements(board: dict) -> Iterator[tuple[str, str]]:
    """Every query of a dashboard, with where it stands."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["query"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield f"${variable['name']}", variable["query"]
    for note in board["annotations"]["list"]:
        yield note["name"], note["target"]["query"]


by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_there_are_seven_and_they_are_what_the_script_writes() -> None:
    sys.path.insert(0, str(ROOT))
    try:
        spec = importlib.util.spec_from_file_location("netwatch_dashboards", ROOT / "build.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT))
    built = module.build(ROOT)
    assert sorted(built) == FILES
    assert len(FILES) == 7
    for path, text in built.items():
        assert path.read_text("utf-8") == text, f"run python dashboards/build.py for {path.name}"


def test_names_are_fixed_and_unique() -> None:
    boards = [load(path) for path in FILES]
    assert len({board["uid"] for board in boards}) == 7
    for path, board in zip(FILES, boards, strict=True):
        assert board["uid"] == f"netwatch-{path.stem}"
        assert board["id"] is None
        assert 39 <= board["schemaVersion"] <= 41
        numbers = [panel["id"] for panel in board["panels"]]
        assert len(set(numbers)) == len(numbers)


@by_file
def test_panels_do_not_overlap_and_fit_the_grid(path: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in load(path)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


@by_file
def test_every_panel_says_its_unit_and_takes_the_data_source_from_the_variable(path: Path) -> None:
    board = load(path)
    assert board["templating"]["list"][0]["name"] == "ds"
    assert board["templating"]["list"][0]["query"] == "influxdb"
    for panel in board["panels"]:
        if panel["type"] in {"row", "text"}:
            continue
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(one == {"type": "influxdb", "uid": "${ds}"} for one in sources)
    assert "flux" not in path.read_text("utf-8").lower().replace("influx", "")


@by_file
def test_no_chart_connects_gaps_and_percent_goes_from_0_to_100(path: Path) -> None:
    panels = load(path)["panels"]
    charts = [panel for panel in panels if panel["type"] in CHARTS]
    assert charts or path.stem == "overview"
    for panel in charts:
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["custom"]["spanNulls"] is False
        for target in panel["targets"]:
            assert "fill(null)" in target["query"] or "time(30d)" in target["query"]
            assert "fill(previous)" not in target["query"]
            assert "fill(linear)" not in target["query"]
    for panel in panels:
        if panel["type"] in DRAWN and panel["fieldConfig"]["defaults"]["unit"] == "percent":
            defaults = panel["fieldConfig"]["defaults"]
            assert (defaults["min"], defaults["max"]) == (0, 100), panel["title"]


@by_file
def test_beside_every_chart_stands_how_old_its_data_is(path: Path) -> None:
    panels = load(path)["panels"]
    for place, panel in enumerate(panels):
        if panel["type"] not in DRAWN:
            continue
        beside, here = panels[place + 1], panel["gridPos"]
        assert beside["title"] == "Minutes since last data", panel["title"]
        assert beside["gridPos"]["y"] == here["y"]
        assert beside["gridPos"]["x"] == here["x"] + here["w"]
        assert beside["fieldConfig"]["defaults"]["unit"] == "dateTimeFromNow"
        chart_from = re.findall(r'FROM "(\w+)"', panel["targets"][0]["query"])[-1]
        assert f'FROM "{chart_from}"' in beside["targets"][0]["query"]


@by_file
def test_queries_name_only_what_the_store_writes(path: Path) -> None:
    named = re.compile(r'"([^"]*)"')
    for where, query in statements(load(path)):
        measurements = re.findall(r'FROM "(\w+)"', query)
        assert len(measurements) == 1, where
        schema = SCHEMA[measurements[0]]
        known = {measurements[0], *schema.tags, *schema.fields}
        made = set(re.findall(r'AS "(\w+)"', query))
        assert set(named.findall(query)) <= known | made, where
        for tag in re.findall(r'GROUP BY (?:time\([^)]*\), )?((?:"\w+"(?:, )?)+)', query):
            assert set(named.findall(tag)) <= set(schema.tags), where
        for name in named.findall(query):
            if name in schema.tags:
                assert not re.search(rf'(mean|sum|max|min|last|count)\("{name}"\)', query), where


@cache
def grafana_schema(folder: Path) -> Path:
    """Install Grafana's schema and TypeScript into `folder`, once."""
    npm = need("npm")
    if not (folder / "node_modules" / "typescript").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *NPM],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            if os.environ.get("CI"):
                pytest.fail(f"npm install: {done.stderr[-500:]}")
            pytest.skip("npm cannot install Grafana's schema here")
    return folder


def typescript(name: str, board: dict) -> str:
    for note in board["annotations"]["list"]:
        note["target"] = {key: note["target"][key] for key in ANNOTATION_KEYS}
    text = json.dumps(board)
    for word, member in WORDS.items():
        text = text.replace(word, member)
    return f"export const {name} = {text} satisfies Partial<Dashboard>;\n"


def compile_boards(folder: Path, text: str) -> str:
    """Return what the compiler complains of."""
    check = folder / "check.ts"
    check.write_text(
        "import { type Dashboard, FieldColorModeId, ThresholdsMode } from '@grafana/schema';\n"
        + text
    )
    settings = "--noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler"
    done = subprocess.run(
        [need("node"), "node_modules/typescript/bin/tsc", *settings.split(), check.name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.timeout(240)
def test_grafana_s_own_types_accept_every_dashboard(pytestconfig: pytest.Config) -> None:
    folder = grafana_schema(Path(pytestconfig.cache.mkdir("grafana-schema")))
    text = "".join(typescript(path.stem, load(path)) for path in FILES)
    assert compile_boards(folder, text) == ""
    wrong = load(FILES[0]) | {"refresh": 5}
    wrong["panels"][0]["gridPos"]["w"] = "24"
    told = compile_boards(folder, typescript("wrong", wrong))
    assert "'number' is not assignable" in told
    assert "'string' is not assignable" in told


IRAN = Entity(EntityKind.COUNTRY, "IR")
REGION = Entity(EntityKind.REGION, "IR-07")
ASN = Entity(EntityKind.ASN, "44244")
DOMAIN = Entity(EntityKind.DOMAIN, "example.org")


def incident(number: int, **more: object) -> Incident:
    percent = Percent(7.0, 4.5, 10.0, "7%")
    parts = {
        "id": f"NW-IR-2026-{number:04}",
        "revision": 1,
        "state": IncidentState.CONFIRMED,
        "reason": Reason.CONFIRMED,
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
        "affected": 1,
        "measured": 1,
        "children": (),
        "signals": (),
        "evidence": number % 5,
        "baseline": "how-median-8w",
    }
    return Incident(**(parts | more))


def health(time: datetime) -> list[Health]:
    return [
        PipelineHealth(time, "collector", 30, 2.5, 0, 0, 0),
        PipelineHealth(
            time, "analysis", 75, detector_seconds=0.2, pending=1, suppressed=0, breaker_open=0
        ),
        PipelineHealth(time, "collector", 30, 2.5, 4, 1, 2),
        FleetHealth(time, "44244", "0.1.0", 4, 5, 12.0, 3, -3.5, 0),
        FleetHealth(time, "9", "0.1.0", 1, 2, 1.0, 0, 0.5, 1),
        *(OutboxHealth(time, "file", state, 2, 9.0) for state in ("ready", "human", "unknown")),
        ChannelHealth(time, "file", 0.75),
        ReviewHealth(time, 2, 600.0, 1800.0, 1),
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
            store.put_levels(
                [Level(time, key, value, value, value, 0.9, 1.0, 3, "how-8w") for key in keys]
            )
            store.put_health(health(time))
        store.put_incidents(
            [incident(number) for number in range(10)], link="https://nw.example/i/"
        )
        places = [
            Place(IRAN, "Iran"),
            Place(REGION, "Tehran", parent=IRAN),
            Place(ASN, "IranCell", parent=IRAN),
        ]
        store.put_places(Atlas(places), at=T0)
        for entity in (ASN,):
            store.put_incidents([incident(20, entity=entity)], link="https://nw.example/i/")
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
            found = store.server.query(fill(variable["query"], values)).rows
            values[variable["name"]] = [str(row[-1]) for row in found]
            assert values[variable["name"]], f"{variable['name']} offers nothing"
            if variable["name"] == "signal" and not variable["multi"]:
                values["signal"] = ["reachability"]
        elif variable["type"] == "custom":
            values[variable["name"]] = [variable["current"]["value"]]
    return values


@by_file
def test_every_query_runs_and_finds_what_was_written(seeded: InfluxStore, path: Path) -> None:
    board = load(path)
    values = chosen_values(seeded, board)
    asked = 0
    for where, query in statements(board):
        table = seeded.server.query(fill(query, values))
        # The first column is the time, or, of SHOW TAG VALUES, the tag's name.
        said = [cell for row in table.rows for cell in row[1:] if cell is not None]
        assert said, f"{where} finds nothing: {fill(query, values)}"
        asked += 1
    assert asked >= 10 or path.stem == "compare"


def test_provisioning_gives_the_data_source_and_the_folders_that_there_are() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/netwatch.yaml").read_text())[
        "datasources"
    ]
    assert source["type"] == "influxdb"
    assert source["jsonData"]["version"] == "InfluxQL"
    assert source["basicAuth"] is True
    assert source["secureJsonData"]["basicAuthPassword"].startswith("$")
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/netwatch.yaml").read_text())[
        "providers"
    ]
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["foldersFromFilesStructure"] is True
    assert {path.parent.name for path in FILES} == {"observatory", "operations"}


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
    table = seeded.server.query(fill(query, values))
    drawn = {row[0]: row[1] for row in table.rows}
    nanoseconds = int(T0.timestamp()) * 10**9
    assert drawn[nanoseconds] == 0
    assert drawn[nanoseconds + 5 * 300 * 10**9] is None
    assert drawn[nanoseconds + 6 * 300 * 10**9] == pytest.approx(50)


def test_an_annotation_has_its_start_its_end_and_its_text(seeded: InfluxStore) -> None:
    ended = incident(3, state=IncidentState.RESOLVED, ended_at=T0 + 8 * STEP, revision=2)
    moved = incident(4, started_at=T0 + 11 * STEP, revision=2)
    seeded.put_incidents([incident(3), ended, incident(4), moved], link="https://nw.example/i/")
    target = load(ROOT / "observatory" / "country.json")["annotations"]["list"][0]["target"]
    table = seeded.server.query(fill(target["query"], {"country": ["IR"]}))
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
