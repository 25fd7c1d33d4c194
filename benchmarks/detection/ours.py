"""netwatch's own detector in the harness, through the library's backtest."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.detection.panel import Levels, Panel, Verdict
from netwatch.arrays import Floats
from netwatch.lab.backtest.detections import detections_of_incidents, split_by_levels
from netwatch.lab.backtest.runner import backtest_series
from netwatch.lab.backtest.time_grid import COLUMNS
from netwatch.sources.long_table import make_series_table

__all__ = ["judge_ours"]


def judge_ours(panel: Panel, training_until: datetime) -> dict[str, Verdict]:
    """Return netwatch's verdict."""
    table = make_series_table(panel.frame(), Path("panel"))
    found = backtest_series(table, training_until=training_until)
    rows = pd.Index(map(str, found.entities)).get_indexer(list(panel.entities))

    def of_panel(levels: Floats) -> Floats:
        return np.where(rows[:, None] >= 0, levels[rows], np.nan)

    levels = Levels(*(of_panel(getattr(found.levels, name)) for name in COLUMNS))
    detections = detections_of_incidents(found.incidents, width=found.grid.width)
    detections = split_by_levels(detections, levels, found.grid, entities=panel.entities)
    return {"netwatch": Verdict(detections, levels)}
