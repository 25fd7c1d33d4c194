"""Figures with intervals: cluster bootstrap by country, and paired differences.

Events of one country come together (a national shutdown is one decision, its curfew ten
nights), so that countries and not events are drawn with replacement. The same draws serve
every detector, which makes differences paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.detection.scoring import Outcome
from netwatch.arrays import Floats

__all__ = ["Figure", "Scores", "differences", "draw_weights", "score"]

_SUMS = (
    "level_bins", "level_error", "large_level_bins", "large_level_error", "interval_bins",
    "covered", "brier_bins", "brier", "weeks",
)  # fmt: skip


_SPREADS = (
    "delay", "late", "deep_delay", "onset_error", "end_error", "event_level_error",
    "final_level_error",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval; NaN where nothing can be said."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scores:
    """A detector's figures.

    Attributes:
        figures: name -> value and interval.
        draws: name -> one value a bootstrap draw, for paired differences.
        recalls: table -> class -> (recall, events): by kind, by scope, by size.
        faults: kind of fault -> false alarms that coincide with it; "" for no fault.
        reliability: for each tenth of probability in use: the mean prediction, the observed
            frequency, and the number of bins.
    """

    figures: Mapping[str, Figure]
    draws: Mapping[str, Floats]
    recalls: Mapping[str, Mapping[str, tuple[float, int]]]
    faults: Mapping[str, int]
    reliability: Sequence[tuple[float, float, int]]


def draw_weights(clusters: int, draws: int, *, seed: int) -> Floats:
    """Return draws + 1 rows of how often each cluster was drawn; the first row is 1 for each."""
    random = np.random.default_rng(seed)
    drawn = random.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws)
    return np.vstack([np.ones(clusters), drawn.astype(float)])


def score(outcomes: Sequence[Outcome], weights: Floats, names: Sequence[str]) -> Scores:
    """Return the figures over several worlds; `names` are the clusters, as `weights` has them."""
    truths = pd.concat([one.truths for one in outcomes], ignore_index=True)
    alarms = pd.concat([one.alarms for one in outcomes], ignore_index=True)
    sums = (
        pd.concat([one.clusters for one in outcomes]).set_index("cluster").reindex(pd.Index(names))
    )
    draws = _rates(truths, alarms, weights, names)
    total = {name: _total(sums, name, weights) for name in _SUMS}
    false = _count(alarms[alarms["verdict"] == "false"], names, weights)
    wrong = alarms[alarms["verdict"] == "false"]
    minutes = wrong.groupby("cluster")["minutes"].sum().reindex(pd.Index(names)).fillna(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        draws["false_time"] = weights @ minutes.to_numpy(dtype=float) / (total["weeks"] * 10_080)
        draws["false_per_week"] = false / total["weeks"]
        draws["level_error"] = total["level_error"] / total["level_bins"]
        draws["large_level_error"] = total["large_level_error"] / total["large_level_bins"]
        draws["coverage"] = total["covered"] / total["interval_bins"]
        draws["brier"] = total["brier"] / total["brier_bins"]
    found = truths[truths["found"]]
    for name in _SPREADS:
        for share in (0.5, 0.9):
            label = f"{name}_p{round(100 * share)}"
            draws[label] = _quantile(found, name, share, weights=weights, names=names)
    fragments = _count(alarms[alarms["verdict"] == "fragment"], names, weights)
    draws["fragments"] = fragments / np.maximum(1, _count(found, names, weights))
    faults = alarms.loc[alarms["verdict"] == "false", "fault"].value_counts()
    return Scores(
        {name: _figure(values) for name, values in draws.items()},
        draws,
        _recalls(truths),
        {str(kind): int(count) for kind, count in faults.items()},
        _reliability(outcomes),
    )


def _reliability(outcomes: Sequence[Outcome]) -> list[tuple[float, float, int]]:
    parts = [one.reliability for one in outcomes if one.reliability.size]
    if not parts:
        return []
    rows = np.sum(parts, axis=0).tolist()
    return [(said / bins, low / bins, int(bins)) for bins, said, low in rows if bins]


def differences(ours: Scores, theirs: Scores, names: Sequence[str]) -> dict[str, Figure]:
    """Return ours minus theirs for each figure in `names`, paired draw by draw."""
    return {name: _figure(ours.draws[name] - theirs.draws[name]) for name in names}


def _rates(
    truths: pd.DataFrame, alarms: pd.DataFrame, weights: Floats, names: Sequence[str]
) -> dict[str, Floats]:
    right = _count(alarms[alarms["verdict"] == "true"], names, weights)
    wrong = _count(alarms[alarms["verdict"] == "false"], names, weights)
    found = _count(truths[truths["found"]], names, weights)
    every = _count(truths, names, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = right / (right + wrong)
        recall = found / every
        both = 2 * precision * recall / (precision + recall)
    return {"precision": precision, "recall": recall, "f1": np.where(found > 0, both, 0.0)}


def _count(rows: pd.DataFrame, names: Sequence[str], weights: Floats) -> Floats:
    counts = rows["cluster"].value_counts().reindex(pd.Index(names)).fillna(0).to_numpy(dtype=float)
    return np.asarray(weights @ counts)


def _total(sums: pd.DataFrame, name: str, weights: Floats) -> Floats:
    if name not in sums:
        return np.full(weights.shape[0], np.nan)
    return np.asarray(weights @ sums[name].fillna(0).to_numpy(dtype=float))


def _quantile(
    rows: pd.DataFrame, column: str, share: float, *, weights: Floats, names: Sequence[str]
) -> Floats:
    """Return the weighted quantile of a column for every draw."""
    if column not in rows or rows.empty:
        return np.full(weights.shape[0], np.nan)
    rows = rows[rows[column].notna()].sort_values(column)
    if rows.empty:
        return np.full(weights.shape[0], np.nan)
    values = rows[column].to_numpy(dtype=float)
    cluster = pd.Index(names).get_indexer(pd.Index(rows["cluster"]))
    result = np.empty(weights.shape[0])
    for index, weight in enumerate(weights):
        mass = np.cumsum(weight[cluster])
        place = int(np.searchsorted(mass, share * mass[-1])) if mass[-1] > 0 else 0
        result[index] = values[min(place, values.size - 1)]
    return result


def _figure(values: Floats) -> Figure:
    drawn = values[1:][np.isfinite(values[1:])]
    if not drawn.size:
        return Figure(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Figure(float(values[0]), float(low), float(high))


def _recalls(truths: pd.DataFrame) -> dict[str, dict[str, tuple[float, int]]]:
    networks = truths[truths["scope"] == "asn"]
    sizes = pd.cut(
        networks["size"], [0, 19, 100, np.inf], labels=["under 20", "20 to 100", "over 100"]
    )
    tables = {
        "kind": truths.groupby("kind")["found"],
        "scope": truths.groupby("scope")["found"],
        "size": networks.groupby(sizes, observed=True)["found"],
    }
    return {
        table: {str(name): (float(group.mean()), int(group.size)) for name, group in groups}
        for table, groups in tables.items()
    }
