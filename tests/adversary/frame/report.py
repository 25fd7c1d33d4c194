"""The results as a table in a terminal, and between the markers of a page."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.table import Table

from adversary.frame.checks import Result
from adversary.frame.registry import Attack

__all__ = ["page_table", "replace_between", "terminal_table"]

_BEGIN, _END = "<!-- adversary: begin -->", "<!-- adversary: end -->"


def terminal_table(results: Iterable[Result]) -> Table:
    """Return a row for each attack at each door."""
    found = Table("attack", "door", "acknowledged", "p99 s", "machine", "MB", "result")
    found.columns[0].no_wrap = found.columns[1].no_wrap = True
    for one in results:
        found.add_row(
            one.name, one.door, str(one.honest_batches), f"{one.p99_seconds:.2f}",
            f"{one.machine_share:.0%}", f"{one.memory_mb:.0f}", "; ".join(one.faults) or "held",
        )  # fmt: skip
    return found


def page_table(attacks: Sequence[Attack], results: Sequence[Result]) -> str:
    """Return a row for each attack, with the worst of its doors; a dash where it did not run."""
    lines = [
        "| attack | what is sent | who | cost | doors | honest p99 | memory | result |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for attack in attacks:
        found = [one for one in results if one.name == attack.name]
        faults = sorted({fault for one in found for fault in one.faults})
        cells = (
            f"`{attack.name}`", attack.text, attack.who, attack.cost,
            ", ".join(one.door for one in found) or "-", _wait(attack, found), _memory(found),
            "; ".join(faults) or ("held" if found else "-"),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _wait(attack: Attack, found: Sequence[Result]) -> str:
    if attack.restarts or not found:
        return "restarted" if found else "-"
    return f"{max(one.p99_seconds for one in found):.1f} s"


def _memory(found: Sequence[Result]) -> str:
    return f"{max(one.memory_mb for one in found):.0f} MB" if found else "-"


def replace_between(path: Path, text: str) -> None:
    """Replace what is between the markers of a page."""
    before, begin, rest = path.read_text("utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    assert begin, f"{path}: no {_BEGIN}"
    assert end, f"{path}: no {_END}"
    path.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}", "utf-8")
