"""Generates the dashboards. Run `python dashboards/build.py` after a change, commit the files."""

import json
from pathlib import Path

from grafana_model import Board
from observatory_boards import compare, country, network, overview
from operations_boards import fleet, pipeline, publishing

BOARDS = {
    "observatory": (overview, country, network, compare),
    "operations": (fleet, pipeline, publishing),
}
"""Folder in Grafana, and the dashboards in it."""


def render(board: Board) -> str:
    """Return the text of a dashboard's file."""
    return json.dumps(board.model(), indent=2, ensure_ascii=False) + "\n"


def build(root: Path) -> dict[Path, str]:
    """Return the text of every file under `root`."""
    boards = [(folder, make()) for folder, makers in BOARDS.items() for make in makers]
    return {
        root / folder / f"{board.uid.removeprefix('netwatch-')}.json": render(board)
        for folder, board in boards
    }


if __name__ == "__main__":
    for path, text in build(Path(__file__).parent).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
