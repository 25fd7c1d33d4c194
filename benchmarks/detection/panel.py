"""What a detector sees and what it answers: a dense panel of counts, and detections.

A panel holds one array per signal, entities x bins, NaN where there is no data. It is the
same as the long table that the command line reads; `Panel.frame` and `Panel.of_frame`
go from one to the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from netwatch.arrays import Bools, Floats
from netwatch.lab.backtest.detections import Detection
from netwatch.lab.backtest.time_grid import Grid, Levels

__all__ = [
    "Detection",
    "Detector",
    "FrameDetector",
    "Levels",
    "Panel",
    "Verdict",
    "detections_of_flags",
    "from_frame_detector",
    "scope_of",
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that a detector says about a panel.

    Attributes:
        detections: its runs, in any order.
        levels: what it read along the way, None where the detector gives no level.
    """

    detections: tuple[Detection, ...]
    levels: Levels | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """Counts of every entity, signal and bin.

    Attributes:
        start: start of the first bin, aware UTC.
        width: minutes a bin.
        entities: `kind:code`, one a row of every array.
        parents: the entity above, empty for a root.
        weights: share in the parent's level, any unit that siblings share.
        values: signal -> entities x bins, NaN is no data.
        totals: signal -> trials behind the values, for the signals that have them.
    """

    start: datetime
    width: int
    entities: tuple[str, ...]
    parents: tuple[str, ...]
    weights: Floats
    values: Mapping[str, Floats]
    totals: Mapping[str, Floats]

    @property
    def bins(self) -> int:
        """Number of bins."""
        return int(next(iter(self.values.values())).shape[1])

    @property
    def per_day(self) -> int:
        """Bins a day."""
        return 1440 // self.width

    @property
    def grid(self) -> Grid:
        """The grid of the panel's levels."""
        return Grid(self.start, timedelta(minutes=self.width), self.bins)

    def times(self) -> pd.DatetimeIndex:
        """Return the start of every bin."""
        return pd.date_range(self.start, periods=self.bins, freq=f"{self.width}min", unit="us")

    def time(self, index: int) -> datetime:
        """Return the start of bin `index`, which may lie past the end."""
        return self.start + timedelta(minutes=self.width * index)

    def index(self, time: datetime) -> int:
        """Return the bin that holds `time`."""
        return int((time - self.start) // timedelta(minutes=self.width))

    def select(self, signals: tuple[str, ...]) -> "Panel":
        """Return the panel with these signals alone."""
        return replace(
            self,
            values={name: self.values[name] for name in signals if name in self.values},
            totals={name: self.totals[name] for name in signals if name in self.totals},
        )

    def frame(self) -> pd.DataFrame:
        """Return the long table: time, entity, signal, value, total, parent, weight.

        Rows without data are absent. Entity, signal and parent are categories.
        """
        times = self.times()
        signals = tuple(self.values)
        parents = tuple(sorted(set(self.parents)))
        parent_codes = np.array([parents.index(name) for name in self.parents], dtype=np.int32)
        parts = []
        for code, (name, values) in enumerate(self.values.items()):
            rows, columns = np.nonzero(~np.isnan(values))
            totals = self.totals.get(name)
            blank = np.full(rows.size, np.nan)
            parts.append(
                pd.DataFrame(
                    {
                        "time": times[columns],
                        "entity": pd.Categorical.from_codes(rows, pd.Index(self.entities)),
                        "signal": pd.Categorical.from_codes(
                            np.full(rows.size, code, dtype=np.int8), pd.Index(signals)
                        ),
                        "value": values[rows, columns],
                        "total": blank if totals is None else totals[rows, columns],
                        "parent": pd.Categorical.from_codes(parent_codes[rows], pd.Index(parents)),
                        "weight": self.weights[rows],
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    @classmethod
    def of_frame(cls, frame: pd.DataFrame) -> "Panel":
        """Return the panel of a long table; `total`, `parent` and `weight` may be missing.

        Raises:
            ValueError: the bins are not regular.
        """
        stamps = np.unique(frame["time"].to_numpy(dtype="datetime64[m]")).astype(np.int64)
        width = int(np.gcd.reduce(np.diff(stamps))) if stamps.size > 1 else 5
        if width <= 0 or 1440 % width:
            raise ValueError(f"bins of {width} minutes do not divide a day")
        start = datetime.fromtimestamp(int(stamps[0]) * 60, tz=UTC)
        entities = tuple(sorted(frame["entity"].astype(str).unique()))
        about = frame.drop_duplicates("entity").set_index(frame["entity"].astype(str).name)
        about.index = about.index.astype(str)
        shape = (len(entities), int((stamps[-1] - stamps[0]) // width) + 1)
        rows = pd.Index(entities).get_indexer(frame["entity"].astype(str))
        minutes = frame["time"].to_numpy(dtype="datetime64[m]").astype(np.int64)
        columns = (minutes - stamps[0]) // width
        signals = frame["signal"].astype(str).to_numpy()
        values, totals = {}, {}
        for name in sorted(set(signals)):
            here = signals == name
            values[name] = _scatter(shape, rows[here], columns[here], frame["value"][here])
            if "total" in frame and frame["total"][here].notna().any():
                totals[name] = _scatter(shape, rows[here], columns[here], frame["total"][here])
        parents = [""] * len(entities)
        if "parent" in frame:
            parents = [str(about["parent"].get(name, "") or "") for name in entities]
        weights = np.ones(len(entities))
        if "weight" in frame:
            weights = np.array([float(about["weight"].get(name, 1.0)) for name in entities])
        return cls(start, width, entities, tuple(parents), weights, values, totals)


def _scatter(
    shape: tuple[int, int],
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.int64],
    values: "pd.Series[float]",
) -> Floats:
    dense = np.full(shape, np.nan)
    dense[rows, columns] = values.to_numpy(dtype=float)
    return dense


Detector = Callable[[Panel, datetime], Verdict]
"""Judges a panel; bins before the given time are for training only."""

FrameDetector = Callable[[pd.DataFrame, datetime], list[Detection]]
"""The same over the long table, for third-party detectors."""


def from_frame_detector(detect: FrameDetector) -> Detector:
    """Return a detector over panels that hands the long table to `detect`."""

    def judge(panel: Panel, training_until: datetime) -> Verdict:
        return Verdict(tuple(detect(panel.frame(), training_until)))

    return judge


def scope_of(entity: str) -> str:
    """Return the kind of an entity, `country` of `country:IR`."""
    return entity.partition(":")[0]


def detections_of_flags(
    panel: Panel, flags: Bools, training_until: datetime, *, level: Floats | None = None
) -> tuple[Detection, ...]:
    """Return one detection for every run of set flags (entities x bins).

    Such a detector has one confidence: it says it at the end of the run's first bin and is sure
    at once. Flags before `training_until` are dropped.
    """
    flags = flags.copy()
    first = max(0, panel.index(training_until))
    flags[:, :first] = False
    edges = np.diff(np.pad(flags, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    found = []
    for (row, start), (_, end) in zip(starts.tolist(), ends.tolist(), strict=True):
        part = None if level is None else level[row, start:end]
        known = part is not None and bool(np.isfinite(part).any())
        said = panel.time(start + 1)
        found.append(
            Detection(
                panel.entities[row],
                panel.time(start),
                None if end >= panel.bins else panel.time(end),
                said,
                said,
                float(np.nanmin(part)) if part is not None and known else float("nan"),
            )
        )
    return tuple(found)
