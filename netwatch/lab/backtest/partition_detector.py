"""A detector over the arrays of a partition, which makes only the levels that may matter.

Most entities are ordinary in most bins, and the tracker does nothing with their levels. When an
entity becomes relevant, the tracker first gets the levels that it missed.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.detect.detector import BayesFilterDetector
from netwatch.detect.step import StepResult
from netwatch.incidents.opening import is_steady
from netwatch.incidents.tracker import Tracker
from netwatch.lab.backtest.time_grid import COLUMNS, Partition
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.model.signals import ACTIVE_SIGNALS, signal_spec
from netwatch.model.thresholds import EVEN_PROBABILITY, LOST, LOW, MIN_NETWORKS, NOISE_PROBABILITY

_TRACKER_PAST, _MIN_TRACKER_PAST = timedelta(hours=8), 6
"""Past of an entity that the tracker keeps: time, and bins at least."""


class PartitionDetector(BayesFilterDetector):
    """Detector of a partition; `step` reads its arrays in place of bins.

    Attributes:
        entities: the entities, in order.
        columns: level, low, high and probability, each of shape (bins, entities).
        last_shown: number of the bin in which the tracker last got each entity's levels.
        faulty: the signals at fault in the next bin, (signals, countries).
        shifts: shifts of the signals from ordinary in the last bin, of the same shape.
    """

    def __init__(self, partition: Partition, tree: EntityTree, tracker: Tracker) -> None:
        grid = partition.grid
        super().__init__(tree, width=grid.width, min_history=partition.min_history)
        self._partition = partition
        self._tracker = tracker
        self.ensure_rows(partition.keys, grid.start)
        keys = list(self.rows)
        is_share = np.zeros(len(keys), dtype=bool)
        if partition.totals is not None:
            is_share[: len(partition.keys)] = np.isfinite(partition.totals).any(axis=0)
        self.engine.state.is_share = is_share
        layout = self.engine.layout
        self.entities = tuple(sorted({key.entity for key in keys}))
        self._numbers = {entity: number for number, entity in enumerate(self.entities)}
        self._entity_of_row = np.array([self._numbers[key.entity] for key in keys], np.intp)
        self._steady = np.array([is_steady(key) for key in keys], dtype=bool)
        self._lead_rows = _lead_rows(keys, self.entities)
        fused = [self._numbers[key.entity] for key in layout.fused]
        self._fused_entities = np.array(fused, np.intp)
        self._trigger_keys: list[SeriesKey | None] = [
            keys[row] if signal_spec(keys[row].signal).trigger else None for row in self._lead_rows
        ]
        for entity, key in zip(fused, layout.fused, strict=True):
            self._trigger_keys[entity] = key
        past = max(int(_TRACKER_PAST / grid.width), _MIN_TRACKER_PAST)
        self._recalled_bins = past + 1
        self.last_shown = np.full(len(self.entities), -1, np.intp)
        shape = (grid.bins, len(self.entities))
        self.columns = {name: np.full(shape, np.nan) for name in COLUMNS}
        self.shifts = np.zeros((len(layout.shift_signals), len(layout.shift_countries)))
        self.faulty = np.zeros(self.shifts.shape, dtype=bool)

    def step(
        self,
        time: datetime,
        bins: Sequence[Bin],  # noqa: ARG002 - the partition has them
        *,
        frozen: Collection[SeriesKey] = (),
        expected: Collection[SeriesKey] = (),
    ) -> list[Level]:
        """Evaluate the interval of the partition that starts at `time`.

        Returns the levels of entities that may matter to an incident, or did in the last bin.
        """
        number = (time - self._partition.grid.start) // self._partition.grid.width
        result = self.step_arrays(
            time,
            self._row_values(self._partition.values, number),
            self._row_values(self._partition.totals, number),
            frozen=frozen,
            expected=expected,
        )
        if not result.ready.any():
            return []
        self._record(number, result)
        relevant = self._relevant_entities(result)
        self._backfill(number, np.flatnonzero(relevant))
        rows = np.flatnonzero(relevant[self._entity_of_row] & result.ready)
        fused = np.flatnonzero(relevant[self._fused_entities])
        return self.levels(result, rows.tolist(), time) + self.fused_levels(result, time, fused)

    def faulty_signals(self, shifts: Floats) -> Bools:
        """Keep `shifts`; return the faults that were set."""
        self.shifts = shifts
        return self.faulty

    def _row_values(self, matrix: Floats | None, number: int) -> Floats:
        values = np.full(len(self.rows), np.nan)
        if matrix is not None:
            values[: matrix.shape[1]] = matrix[number]
        return values

    def _record(self, number: int, result: StepResult) -> None:
        rows = self._lead_rows.copy()
        fused = result.fused.rows >= 0
        rows[self._fused_entities[fused]] = result.fused.rows[fused]
        ready = result.ready[rows]
        levels = result.levels
        columns = (levels.ratio, levels.low, levels.high, result.probability)
        for name, values in zip(COLUMNS, columns, strict=True):
            self.columns[name][number] = np.where(ready, values[rows], np.nan)
        self.columns["probability"][number, self._fused_entities[fused]] = result.fused.probability[
            fused
        ]

    def _relevant_entities(self, result: StepResult) -> Bools:
        """Return the entities whose levels may matter to an incident, unlike ordinary ones."""
        ratio, chance = result.levels.ratio, result.probability
        with np.errstate(invalid="ignore"):
            # As `incidents.excursion.is_low`; steady series count from the first low bin.
            credible = (chance > NOISE_PROBABILITY) | (result.levels.networks >= MIN_NETWORKS)
            low = (ratio < LOW) & (credible | self._steady)
            suspect = low | (chance > EVEN_PROBABILITY) | (ratio < LOST)
        relevant = np.zeros(len(self.entities), dtype=bool)
        relevant[self._entity_of_row[suspect & result.ready]] = True
        relevant[self._fused_entities[result.fused.probability > EVEN_PROBABILITY]] = True
        followed = [self._numbers[entity] for entity in self._tracker.drop_quiet()]
        relevant[followed] = True
        return relevant

    def _backfill(self, number: int, entities: RowArray) -> None:
        """Show the tracker the past levels of entities that were not relevant recently."""
        for entity in entities[self.last_shown[entities] < number - 1].tolist():
            key = self._trigger_keys[entity]
            if key is not None:
                missed = np.arange(self.last_shown[entity] + 1, number)
                if len(missed) > 2 * self._recalled_bins:
                    ends = missed[: self._recalled_bins], missed[-self._recalled_bins :]
                    missed = np.concatenate(ends)
                level, chance = self.columns["level"], self.columns["probability"]
                missed = missed[np.isfinite(level[missed, entity])]
                values = level[missed, entity].tolist(), chance[missed, entity].tolist()
                for past, value, likely in zip(missed.tolist(), *values, strict=True):
                    self._tracker.backfill(
                        Level(self._partition.grid.time(past), key, value, value, value, likely)
                    )
        self.last_shown[entities] = number


def _lead_rows(keys: list[SeriesKey], entities: tuple[Entity, ...]) -> RowArray:
    """Return for every entity the row of its leading signal: active ones first."""
    rank = {name: number for number, name in enumerate(ACTIVE_SIGNALS)}
    rows: dict[Entity, int] = {}
    for row in sorted(
        range(len(keys)), key=lambda row: (rank.get(keys[row].signal, len(rank)), keys[row].signal)
    ):
        rows.setdefault(keys[row].entity, row)
    return np.array([rows[entity] for entity in entities], np.intp)
