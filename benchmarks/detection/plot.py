"""The plot of a run: F1 and false alarms of every detector with their intervals."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

from benchmarks.detection.bootstrap import Figure, Scores

__all__ = ["draw_plot"]

_OURS, _THEIRS = "#0b6e4f", "#6b7280"
_LEAST = 1e-4


def draw_plot(path: Path, scores: Mapping[str, Scores], *, title: str) -> str:
    """Write `path` as PNG and SVG with a text alternative, and return that text."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - the backend is chosen first

    order = sorted(scores, key=lambda name: scores[name].figures["f1"].value)
    figure, axes = plt.subplots(1, 2, figsize=(11, 1.2 + 0.42 * len(order)), sharey=True)
    for axis, key, heading in zip(
        axes,
        ("f1", "false_per_week"),
        (
            "F1 of events (more is better)",
            "false alarms an entity-week (fewer is better)",
        ),
        strict=True,
    ):
        for place, name in enumerate(order):
            value = scores[name].figures[key]
            colour = _OURS if name.startswith("netwatch") else _THEIRS
            _whisker(axis, place, value, colour=colour, floor=_LEAST if key != "f1" else 0.0)
        axis.set_xlabel(heading)
        axis.grid(axis="x", color="#e5e7eb", linewidth=0.8)
        axis.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
        axis.tick_params(left=False)
    axes[0].set_xlim(0, 1.02)
    axes[1].set_xscale("log")
    axes[0].set_yticks(range(len(order)), order)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.tight_layout()
    text = _words(title, scores, order)
    figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Description": text})
    figure.savefig(path.with_suffix(".svg"), metadata={"Description": text, "Date": None})
    plt.close(figure)
    path.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
    return text


def _whisker(
    axis: "mpl.axes.Axes", place: int, value: Figure, *, colour: str, floor: float
) -> None:
    low = max(floor, value.low)
    axis.plot([low, max(low, value.high)], [place, place], color=colour, linewidth=2, alpha=0.5)
    # None at all has no place on a logarithmic axis: an arrow at its left edge.
    marker = "o" if value.value > floor else "<"
    axis.plot([max(floor, value.value)], [place], marker, color=colour, markersize=6)


def _words(title: str, scores: Mapping[str, Scores], order: list[str]) -> str:
    """Say in words what the picture shows."""
    parts = []
    for name in reversed(order):
        f1, false = scores[name].figures["f1"], scores[name].figures["false_per_week"]
        parts.append(f"{name}: F1 {f1.value:.3f}, {false.value:.3f} false alarms an entity-week")
    return f"{title}. From best to worst: " + "; ".join(parts) + "."
