"""One partition of a backtest: the live pipeline, bin after bin, and its results.

A partition holds whole countries, so the evaluation of a bin needs only one thing from outside:
the signals that are at fault worldwide. A shard runs a span of bins with those that it is given,
and returns the shift of every signal; the span is run again if others were at fault in it. The
result is the same as with a barrier in every bin.
"""

from dataclasses import dataclass

import numpy as np

from netwatch.analysis.pipeline import Pipeline
from netwatch.arrays import Bools, Floats, RowArray
from netwatch.config import IncidentConfig
from netwatch.detect.state import SeriesState
from netwatch.incidents.tracker import Tracker
from netwatch.lab.backtest.partition_detector import PartitionDetector
from netwatch.lab.backtest.time_grid import Partition
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import Incident


@dataclass(frozen=True, slots=True)
class ShardResult:
    """Results of a partition.

    Attributes:
        columns: level, low, high and probability, each of shape (bins, entities).
        incidents: newest revision of each incident, and the bin of its first one.
    """

    entities: tuple[Entity, ...]
    columns: dict[str, Floats]
    incidents: tuple[tuple[int, Incident], ...]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    detector: SeriesState
    tracker: bytes
    incidents: dict[str, tuple[int, Incident]]
    last_shown: RowArray


class Shard:
    """Runs one partition through the pipeline."""

    def __init__(self, partition: Partition) -> None:
        self._grid = partition.grid
        tree = EntityTree(partition.infos)
        self._tracker = Tracker(tree, width=self._grid.width, config=IncidentConfig())
        self._detector = PartitionDetector(partition, tree, self._tracker)
        self._pipeline = Pipeline(self._detector, self._tracker, lambda _: [])
        self._incidents: dict[str, tuple[int, Incident]] = {}
        self._snapshot = self._take_snapshot()

    def layout(self) -> tuple[tuple[str, ...], tuple[Entity, ...]]:
        """Return the signals and the countries, in the order of faults and shifts."""
        layout = self._detector.engine.layout
        return layout.shift_signals, layout.shift_countries

    def run_span(self, first: int, faults: Bools, *, undo: bool) -> Floats:
        """Run the bins from `first` on, one for each of `faults`, (bins, signals, countries).

        Returns the shifts of the signals from ordinary, of the same shape. With `undo`, it
        replaces the last span, which began at `first` too.
        """
        if undo:
            self._restore()
        self._snapshot = self._take_snapshot()
        shifts = np.full(faults.shape, np.nan)
        for index, faulty in enumerate(faults):
            number = first + index
            self._detector.faulty = faulty
            result = self._pipeline.step(self._grid.time(number), ())
            shifts[index] = self._detector.shifts
            for revision in result.revisions:
                first_bin, _ = self._incidents.get(revision.id, (number, revision))
                self._incidents[revision.id] = first_bin, revision
        return shifts

    def result(self) -> ShardResult:
        """Return the results of all bins."""
        incidents = tuple(self._incidents.values())
        return ShardResult(self._detector.entities, self._detector.columns, incidents)

    def _take_snapshot(self) -> _Snapshot:
        return _Snapshot(
            self._detector.engine.state.copy(),
            self._tracker.save(),
            self._incidents.copy(),
            self._detector.last_shown.copy(),
        )

    def _restore(self) -> None:
        snapshot = self._snapshot
        self._detector.engine.state = snapshot.detector.copy()
        self._detector.last_shown = snapshot.last_shown
        self._tracker.load(snapshot.tracker)
        self._incidents = snapshot.incidents
