"""Dashboards follow Grafana's schema, query only what the store writes, and load."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from grafana_files import FILES, ROOT, by_file, load, statements
from npm_packages import install_npm, run_node

from netwatch.store.influx.schema import SCHEMA

PROVISIONING = ROOT / "provisioning"
NPM = ("@grafana/schema@13.2.3", "typescript@5.9.3")
CHARTS = {"timeseries"}
DRAWN = CHARTS | {"state-timeline", "status-history"}
# A data source stores its own keys in an annotation's target. Grafana's schema lacks them, and
# its type forbids unknown keys.
ANNOTATION_KEYS = {"refId", "queryType"}
# TypeScript accepts an enumeration's member, not its string value.
WORDS = {
    '"mode": "thresholds"': '"mode": FieldColorModeId.Thresholds',
    '"mode": "absolute"': '"mode": ThresholdsMode.Absolute',
}


def test_the_seven_dashboards_match_the_script_output() -> None:
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
def test_every_panel_has_a_unit_and_the_data_source_variable(path: Path) -> None:
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
def test_every_chart_has_a_data_age_panel_next_to_it(path: Path) -> None:
    panels = load(path)["panels"]
    for index, panel in enumerate(panels):
        if panel["type"] not in DRAWN:
            continue
        age_panel, here = panels[index + 1], panel["gridPos"]
        assert age_panel["title"] == "Minutes since last data", panel["title"]
        assert age_panel["gridPos"]["y"] == here["y"]
        assert age_panel["gridPos"]["x"] == here["x"] + here["w"]
        assert age_panel["fieldConfig"]["defaults"]["unit"] == "dateTimeFromNow"
        chart_from = re.findall(r'FROM "(\w+)"', panel["targets"][0]["query"])[-1]
        assert f'FROM "{chart_from}"' in age_panel["targets"][0]["query"]


@by_file
def test_queries_use_only_measurements_tags_and_fields_of_the_store(path: Path) -> None:
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


@by_file
def test_no_chart_averages_across_signals_or_entities(path: Path) -> None:
    """A query selects one by name, by a repeated row, or groups by it."""
    repeated = ""
    for panel in load(path)["panels"]:
        if panel["type"] == "row":
            repeated = panel.get("repeat", "")
        for target in panel.get("targets", []) if panel["type"] in DRAWN else []:
            query = target["query"]
            if not re.search(r'FROM "(counts|connectivity)"', query):
                continue
            grouped = query.split("GROUP BY")[-1]
            for tag, variables in (("signal", {"signal"}), ("scope_id", {"region", "asn"})):
                named = re.search(rf'"{tag}" = \'', query)
                assert named or repeated in variables or f'"{tag}"' in grouped, panel["title"]


def typescript(name: str, board: dict) -> str:
    for note in board["annotations"]["list"]:
        note["target"] = {key: note["target"][key] for key in ANNOTATION_KEYS}
    text = json.dumps(board)
    for word, member in WORDS.items():
        text = text.replace(word, member)
    return f"export const {name} = {text} satisfies Partial<Dashboard>;\n"


def compile_boards(folder: Path, text: str) -> str:
    """Return the compiler's errors."""
    check = folder / "check.ts"
    check.write_text(
        "import { type Dashboard, FieldColorModeId, ThresholdsMode } from '@grafana/schema';\n"
        + text
    )
    settings = "--noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler"
    compiler = "node_modules/typescript/bin/tsc"
    return run_node(folder, compiler, *settings.split(), check.name)


@pytest.mark.timeout(240)
def test_grafana_types_accept_every_dashboard(pytestconfig: pytest.Config) -> None:
    folder = Path(pytestconfig.cache.mkdir("grafana-schema"))
    install_npm(folder, *NPM)
    text = "".join(typescript(path.stem, load(path)) for path in FILES)
    assert compile_boards(folder, text) == ""
    wrong = load(FILES[0]) | {"refresh": 5}
    wrong["panels"][0]["gridPos"]["w"] = "24"
    compiler_output = compile_boards(folder, typescript("wrong", wrong))
    assert "'number' is not assignable" in compiler_output
    assert "'string' is not assignable" in compiler_output


def test_provisioning_names_the_data_source_and_existing_folders() -> None:
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
