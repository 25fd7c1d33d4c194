"""netwatch's own detector in the harness, through the library's backtest.

Incidents name a widest scope and list what is part of it. The judge asks about each entity,
so every child becomes a detection of its own, said no earlier than its incident was.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from benchmarks.detection.panel import Detection, Floats, Levels, Panel, Verdict

__all__ = ["detections_of_incidents", "judge_ours", "levels_of_frame"]

Backtest = Callable[..., tuple[pd.DataFrame, Sequence[Mapping[str, object]]]]


def judge_ours(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return netwatch's verdict.

    Raises:
        ImportError: this netwatch has no `netwatch.lab.backtest.run_backtest`.
    """
    run_backtest: Backtest = importlib.import_module("netwatch.lab.backtest").run_backtest
    levels, incidents = run_backtest(panel.frame(), training_until=training_until)
    detections = detections_of_incidents(incidents, width=timedelta(minutes=panel.width))
    return {"netwatch": Verdict(detections, levels_of_frame(levels, panel))}


def detections_of_incidents(
    incidents: Sequence[Mapping[str, object]], *, width: timedelta
) -> tuple[Detection, ...]:
    """Return detections of incidents as `incidents.json` has them, and of their children."""
    known = {str(incident["id"]) for incident in incidents}
    found = []
    for incident in incidents:
        whole = _detection(incident)
        found.append(whole)
        children = incident.get("children") or []
        if not isinstance(children, Sequence):
            raise TypeError("children: want an array")
        for child in children:
            if isinstance(child, Mapping):
                found.append(_child(child, whole, width))
            elif str(child) not in known:
                found.append(_child({"entity": child}, whole, width))
    return tuple(found)


def _detection(incident: Mapping[str, object]) -> Detection:
    trough = incident.get("trough")
    level = trough.get("level") if isinstance(trough, Mapping) else None
    confirmed = incident.get("confirmed_at")
    return Detection(
        str(incident["entity"]),
        _time(incident["started_at"]),
        _time(incident["ended_at"]) if incident.get("ended_at") else None,
        _time(incident["provisional_at"] or confirmed),
        _time(confirmed) if confirmed else None,
        float("nan") if level is None else float(str(level)),
    )


def _child(child: Mapping[str, object], whole: Detection, width: timedelta) -> Detection:
    """A child is known once its own first bin is over, and no earlier than the incident."""
    started = _time(child["started_at"]) if child.get("started_at") else whole.started_at
    ended = _time(child["ended_at"]) if child.get("ended_at") else whole.ended_at
    seen = started + width
    sure = child.get("confirmed_at")
    confirmed = max(whole.confirmed_at, seen) if whole.confirmed_at else None
    return Detection(
        str(child["entity"]),
        started,
        ended,
        max(whole.provisional_at, seen),
        _time(sure) if sure else confirmed,
        float("nan"),
    )


def _time(value: object) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def levels_of_frame(frame: pd.DataFrame, panel: Panel) -> Levels:
    """Return the columns time, entity, level, low, high, probability on the panel's grid."""
    rows = pd.Index(panel.entities).get_indexer(pd.Index(frame["entity"].astype(str)))
    columns = panel.times().get_indexer(pd.DatetimeIndex(frame["time"]))
    here = (rows >= 0) & (columns >= 0)

    def dense(name: str) -> Floats:
        grid = np.full((len(panel.entities), panel.bins), np.nan)
        grid[rows[here], columns[here]] = frame[name].to_numpy(dtype=float)[here]
        return grid

    return Levels(dense("level"), dense("low"), dense("high"), dense("probability"))
