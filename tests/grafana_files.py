"""The dashboards' files and every query in them, for the tests that look at both."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["FILES", "ROOT", "by_file", "load", "statements"]

ROOT = Path(__file__).parents[1] / "dashboards"
FILES = sorted(ROOT.glob("o*/*.json"))


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
