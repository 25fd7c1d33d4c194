"""The table of a run: markdown, JSON, and a picture."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks.poisoning.cells import HONEST, LIARS
from benchmarks.poisoning.judge import GOALS, Verdict

__all__ = ["draw", "markdown", "replace_between", "write_json"]

BEGIN, END = "<!-- poisoning: begin -->", "<!-- poisoning: end -->"
_AGES = {
    "new": "new keys",
    "eight a day": "eight new keys a day",
    "30 days": "trusted for 30 days",
    "vetted": "vetted by the operator",
}
_LIES: dict[str, Callable[[Verdict], bool]] = {
    "an outage is invented": lambda one: (one.cell.time, one.cell.says) == ("ordinary", "down"),
    "an outage is hidden": lambda one: (one.cell.time, one.cell.says) == ("event", "up"),
}
_SHOWN = 12


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the goals, the worst cells by numbers of agents, and the worst misses."""
    worlds = {(one.cell.honest, one.cell.seed) for one in verdicts}
    parts = [f"{len(verdicts)} cells in {len(worlds)} worlds.", _goal_table(verdicts)]
    for (age, words), (lie, holds) in product(_AGES.items(), _LIES.items()):
        chosen = [one for one in verdicts if one.cell.age == age and holds(one)]
        if chosen:
            parts += [f"Liars are {words}; {lie}:", _number_table(chosen)]
    worst = sorted(
        (one for one in verdicts if one.missed),
        key=lambda one: (-len(one.missed), -one.national_points),
    )
    if worst:
        parts.append("The worst cells that miss a goal:")
        parts.append("\n".join(f"- {_in_words(one)}" for one in worst[:_SHOWN]))
    return "\n\n".join(parts) + "\n"


def _goal_table(verdicts: Sequence[Verdict]) -> str:
    lines = ["| goal | cells that miss it |", "|---|---|"]
    for key, text in GOALS.items():
        missed = sum(key in one.missed for one in verdicts)
        lines.append(f"| {text} | {missed} of {len(verdicts)} |")
    return "\n".join(lines)


def _number_table(verdicts: Sequence[Verdict]) -> str:
    """Return the largest move of a national level, with false and hidden national incidents.

    A level that is recorded as undecided has not moved.
    """
    heads = " | ".join(f"{honest} honest" for honest in HONEST)
    lines = [f"| liars | {heads} |", "|---" * (1 + len(HONEST)) + "|"]
    for liars in LIARS:
        row = [_summary(_at(verdicts, liars, honest)) for honest in HONEST]
        lines.append(f"| {liars} | {' | '.join(row)} |")
    return "\n".join(lines)


def _at(verdicts: Sequence[Verdict], liars: int, honest: int) -> list[Verdict]:
    return [one for one in verdicts if (one.cell.liars, one.cell.honest) == (liars, honest)]


def _summary(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "-"
    marks = [
        (sum(one.false_national for one in verdicts), "false"),
        (sum(one.hidden_national for one in verdicts), "hidden"),
        (sum(bool(one.missed) for one in verdicts), "missed"),
    ]
    words = [f"{count} {mark}" for count, mark in marks if count]
    points = max(one.national_points for one in verdicts)
    return ", ".join([f"{points:.1f} points", *words]) + f" of {len(verdicts)}"


def _in_words(one: Verdict) -> str:
    words = [f"false: {scope}" for scope in one.false] + [
        f"hidden: {scope}" for scope in one.hidden
    ]
    return (
        f"{one.cell.label()}: {one.points:.0f} points, national {one.national_points:.0f}, "
        f"{one.liar_networks} networks of liars against {one.honest_networks}; "
        + "; ".join([*words, f"misses: {', '.join(one.missed)}"])
    )


def write_json(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write every cell and what came of it."""
    path.write_text(json.dumps([asdict(one) for one in verdicts], indent=1) + "\n")


def replace_between(path: Path, text: str) -> None:
    """Replace what is between the markers of a page.

    Raises:
        ValueError: the page has no markers.
    """
    page = path.read_text()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path}: no {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def draw(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Draw the largest move of the level that is lied about, by liars and honest agents."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - the backend is chosen first

    figure, axes = plt.subplots(
        len(_LIES), len(_AGES), figsize=(16, 7), sharex=True, sharey=True, layout="constrained"
    )
    image = None
    for (row, (lie, holds)), (column, (age, words)) in product(
        enumerate(_LIES.items()), enumerate(_AGES.items())
    ):
        chosen = [one for one in verdicts if one.cell.age == age and holds(one)]
        axis = axes[row, column]
        points = np.full((len(LIARS), len(HONEST)), np.nan)
        for (y, liars), (x, honest) in product(enumerate(LIARS), enumerate(HONEST)):
            found = _at(chosen, liars, honest)
            if found:
                points[y, x] = max(one.points for one in found)
                _note(axis, (x, y), points[y, x], found)
        image = axis.imshow(points, vmin=0, vmax=100, cmap="YlOrRd", origin="lower", aspect="auto")
        axis.set_title(f"{words}: {lie}", fontsize=9)
        axis.set_xticks(range(len(HONEST)), [str(one) for one in HONEST])
        axis.set_yticks(range(len(LIARS)), [str(one) for one in LIARS])
    figure.supxlabel("honest agents")
    figure.supylabel("liars")
    if image is not None:
        figure.colorbar(image, ax=axes, label="largest move of the level lied about, points")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _note(axis: object, place: tuple[int, int], points: float, found: Sequence[Verdict]) -> None:
    false = sum(bool(one.false) for one in found)
    hidden = sum(bool(one.hidden) for one in found)
    text = f"{points:.0f}" + (f"\n{false} false" if false else "")
    text += f"\n{hidden} hidden" if hidden else ""
    colour = "white" if points > 60 else "black"
    axis.text(*place, text, ha="center", va="center", fontsize=8, color=colour)  # type: ignore[attr-defined]
