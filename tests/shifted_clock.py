"""`netwatch` with a system clock that can be set meanwhile: `python shifted_clock.py FILE ...`.

FILE holds the seconds by which the system clock is wrong. Everything else is the real program.
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

from netwatch.app import wall_clock
from netwatch.cli.entrypoint import run
from netwatch.model.steady_clock import SteadyClock

SHIFTED_CLOCK = Path(__file__)
"""This program."""


def main(shift: Path) -> None:
    """Run the command of the remaining arguments."""
    right = wall_clock.wall

    def wall() -> datetime:
        return right() + timedelta(seconds=float(shift.read_text() or 0))

    wall_clock.wall = wall
    wall_clock.now = SteadyClock(
        wall, wall_clock.monotonic_seconds, is_synced=lambda: "synced" in shift.name
    )
    run()


if __name__ == "__main__":
    main(Path(sys.argv.pop(1)))
