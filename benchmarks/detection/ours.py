"""netwatch's own detector in the harness, through the library's backtest."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import pandas as pd

from benchmarks.detection.panel import Panel, Verdict
from netwatch.lab.backtest.split_detections import (
    detections_of_incidents,
    levels_of_frame,
    split_by_levels,
)

__all__ = ["judge_ours"]

Backtest = Callable[..., tuple[pd.DataFrame, Sequence[Mapping[str, object]]]]


def judge_ours(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return netwatch's verdict.

    Raises:
        ImportError: this netwatch has no `netwatch.lab.backtest.runner.run_backtest`.
    """
    run_backtest: Backtest = importlib.import_module("netwatch.lab.backtest.runner").run_backtest
    levels, incidents = run_backtest(panel.frame(), training_until=training_until)
    detections = detections_of_incidents(incidents, width=panel.grid.width)
    ours = levels_of_frame(levels, panel.grid)
    return {"netwatch": Verdict(split_by_levels(detections, ours, panel.grid), ours)}
