"""The page for researchers: its commands run, and what comes out is as it says."""

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from netwatch.cli.main import app

pytestmark = pytest.mark.timeout(90)  # four backtests, one of them in two processes

PAGE = (Path(__file__).parents[4] / "docs" / "backtest.md").read_text("utf-8")


def block(language: str) -> str:
    match = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert match is not None, language
    return match[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything on the page was done, in order."""
    path = tmp_path_factory.mktemp("page")
    with contextlib.chdir(path):
        subprocess.run([sys.executable, "-c", block("python")], check=True)
        for line in block("console").splitlines():
            words = line.removeprefix("$ ").split()
            assert words[:2] == ["netwatch", "backtest"]
            result = CliRunner().invoke(app, words[1:])
            assert result.exit_code == 0, result.output
    return path


def test_the_night_is_found_with_its_network(folder: Path) -> None:
    incidents = json.loads((folder / "scored" / "incidents.json").read_text())
    [network] = [one for one in incidents if one["entity"] == "asn:64501"]
    assert network["started_at"] == "2026-01-16T22:00:00Z"
    assert {one["ended_at"] for one in incidents} == {"2026-01-17T06:00:00Z"}
    [country] = [one for one in incidents if one["entity"] == "country:XA"]
    assert [child["entity"] for child in country["children"]] == ["asn:64501"]
    assert network["parent"] == country["id"]
    score = json.loads((folder / "scored" / "score.json").read_text())
    assert score["confirmed"]["recall"] == 1
    assert score["confirmed"]["false"] == 0
    assert {path.name for path in (folder / "scored").iterdir()} >= {"score.html", "score.png"}


def test_workers_change_no_byte(folder: Path) -> None:
    for name in ("levels.parquet", "incidents.json"):
        assert (folder / "scored" / name).read_bytes() == (folder / "same" / name).read_bytes()


def test_the_columns_are_those_of_the_page(folder: Path) -> None:
    with duckdb.connect() as connection:
        query = f"describe select * from '{folder / 'scored' / 'levels.parquet'}'"
        columns = connection.execute(query).fetchall()
    assert [(name, kind) for name, kind, *_ in columns] == [
        ("time", "TIMESTAMP WITH TIME ZONE"), ("entity", "VARCHAR"), ("level", "DOUBLE"),
        ("low", "DOUBLE"), ("high", "DOUBLE"), ("probability", "DOUBLE"),
    ]  # fmt: skip


_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str, "number": (int, float), "null": type(None), "array": list, "object": dict,
}  # fmt: skip


def check(value: object, schema: dict[str, object], place: str = "") -> None:
    """Check `value` against the part of JSON Schema that the page uses."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(isinstance(value, _KINDS[str(kind)]) for kind in kinds), place
    if isinstance(value, dict):
        properties = schema["properties"]
        assert isinstance(properties, dict)
        assert set(value) == set(properties), place
        assert schema["required"] == list(properties), place
        for name, part in value.items():
            check(part, properties[name], f"{place}/{name}")
    if isinstance(value, list):
        items = schema["items"]
        assert isinstance(items, dict)
        for number, part in enumerate(value):
            check(part, items, f"{place}/{number}")
    if isinstance(value, str) and schema.get("format") == "date-time":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value), place


@pytest.mark.parametrize("name", ["scored", "iran"])
def test_incidents_are_of_the_schema_of_the_page(folder: Path, name: str) -> None:
    incidents = json.loads((folder / name / "incidents.json").read_text())
    assert incidents
    check(incidents, json.loads(block("json")))
