"""Writes the seven dashboards; run it after a change and commit what it wrote.

python dashboards/build.py
"""

import json
from pathlib import Path

from boards_health import fleet, pipeline, publishing
from boards_public import compare, country, network, overview
from pieces import Board

__all__ = ["BOARDS", "build", "render"]

BOARDS = {
    "observatory": (overview, country, network, compare),
    "operations": (fleet, pipeline, publishing),
}
"""Folder in Grafana to the dashboards in it."""


def render(board: Board) -> str:
    """Return a dashboard as the text of its file."""
    return json.dumps(board.model(), indent=2, ensure_ascii=False) + "\n"


def build(root: Path) -> dict[Path, str]:
    """Return what every file under `root` has to hold."""
    boards = [(folder, make()) for folder, makers in BOARDS.items() for make in makers]
    return {
        root / folder / f"{board.uid.removeprefix('netwatch-')}.json": render(board)
        for folder, board in boards
    }


if __name__ == "__main__":
    for path, text in build(Path(__file__).parent).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
