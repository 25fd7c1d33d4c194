"""Fusion: probability of a loss from several signals of one entity.

Each signal's posterior becomes a Bayes factor against the share of time that the filter is low
anyhow, capped by how often that signal alone is wrong for long; a signal without the loss that
others show counts against it, but is no veto (rho is the chance that it would show it).

    odds = prior * product of (rho * BF + 1 - rho)

Active signals are used alone, since their cap would have to grow with the number of independent
answers behind them; fusion adds the events that they do not see. It takes two passive signals
that agree, and never routes alone.
"""

from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.model.signals import signal_spec
from netwatch.model.thresholds import EVEN_PROBABILITY

_PRIOR = 2e-4
"""Probability that an entity is in an outage in an interval (a prototype on labelled outages)."""
_LOW_SHARE = 0.009
"""Share of time that the filter's chain spends below ordinary without any evidence."""
_LOG_FACTOR_PER_ANSWER = np.log(10.0)
"""Bound on the log Bayes factor a vantage or answer: one volunteer in ten is away for reasons of
its own; two at once are one case in a hundred."""
_ORDINARY_FACTOR = 0.2
"""Bayes factor below which an active signal is positive evidence of no loss."""
_DEMAND_LEVEL = 0.5
"""Share of ordinary: people who stay away leave more than this of their usual traffic; a cut may
leave less."""
_MIN_AGREEING = 2
"""Passive signals that make a loss: each of them alone is sometimes wrong for days."""
_DOUBT = 0.94
"""Bound on the probability from fewer signals: below `CONFIRMED_PROBABILITY`."""
_MIN_CHANCE, _MAX_LOG = 1e-12, 99.0
"""Bounds that keep odds and exponentials finite."""


@dataclass(frozen=True, slots=True)
class Fused:
    """Result of fusion; arrays of shape (entities,).

    Attributes:
        rows: row of the signal that represents each entity: its level is the entity's.
        probability: that the entity is below ordinary. A fall of human-driven signals while
            networks answer (a holiday, a match, a curfew on people) is not a loss.
    """

    rows: RowArray
    probability: Floats


class Fusion:
    """The entities with more than one signal."""

    def __init__(self, entity: RowArray, signals: list[str]) -> None:
        """Create the fusion of rows with an entity number (-1: single signal) and a signal."""
        self._rows = np.flatnonzero(entity >= 0)
        self._entity = entity[self._rows]
        self.size = int(entity.max(initial=-1)) + 1
        specs = [signal_spec(signals[row]) for row in self._rows]
        self._active = np.array([spec.active for spec in specs], dtype=bool)
        self._detection = np.array([spec.detection_probability for spec in specs], float)
        self._max_factor = np.array([spec.max_bayes_factor for spec in specs], float)

    def fuse(
        self, ratio: Floats, probability: Floats, *, depth: Floats, observations: Floats
    ) -> Fused:
        """Return the representative row and the probability of each entity.

        Args:
            ratio: current over ordinary, NaN for no data.
            probability: that each row is below ordinary.
            depth: mean level of each row given that it is below ordinary.
            observations: independent answers behind each row in ordinary times, infinite if
                many or unknown.
        """
        ratio = ratio[self._rows]
        chance = np.clip(probability[self._rows], _MIN_CHANCE, 1 - _MIN_CHANCE)
        known = np.isfinite(ratio)
        factor = self._bayes_factors(chance, observations[self._rows])
        terms = np.where(known, np.log(self._detection * factor + 1 - self._detection), 0.0)
        odds = np.log(_PRIOR) + np.bincount(self._entity, terms, self.size)
        fused = 1 / (1 + np.exp(-np.clip(odds, -700, 700)))
        agreeing = (chance > EVEN_PROBABILITY) & known & ~self._active
        enough = np.bincount(self._entity, agreeing, self.size) >= _MIN_AGREEING
        fused = np.where(enough, fused, np.minimum(fused, _DOUBT))
        active = np.full(self.size, -1.0)
        np.maximum.at(active, self._entity, np.where(self._active & known, chance, -1.0))
        leads = active >= np.where(enough, fused, 0.0)
        eligible = np.where(leads[self._entity], self._active, agreeing)
        none = ~self._any(eligible & known)
        rows = self._median_rows(ratio, eligible | none[self._entity])
        # A mild fall of passive signals while active ones are ordinary is a fall of demand.
        mild = self._any(agreeing & (depth[self._rows] > _DEMAND_LEVEL))
        ordinary = self._any(self._active & known & (factor < _ORDINARY_FACTOR))
        demand = ~leads & (fused > EVEN_PROBABILITY) & mild & ordinary
        fused = np.where(demand, np.minimum(fused, EVEN_PROBABILITY), fused)
        return Fused(rows, np.where(leads, active, fused))

    def _bayes_factors(self, chance: Floats, observations: Floats) -> Floats:
        per_answer = np.exp(np.minimum(_LOG_FACTOR_PER_ANSWER * observations, _MAX_LOG))
        bound = np.minimum(self._max_factor, per_answer)
        factors = chance / (1 - chance) / (_LOW_SHARE / (1 - _LOW_SHARE))
        return np.asarray(np.minimum(factors, bound))

    def _any(self, rows: Bools) -> Bools:
        return np.asarray(np.bincount(self._entity, rows, self.size) > 0)

    def _median_rows(self, ratio: Floats, eligible: Bools) -> RowArray:
        """Return for each entity the eligible row of the median ratio, -1 without any."""
        use = np.flatnonzero(eligible & np.isfinite(ratio))
        order = use[np.lexsort((ratio[use], self._entity[use]))]
        entities, starts, counts = np.unique(
            self._entity[order], return_index=True, return_counts=True
        )
        rows = np.full(self.size, -1, np.intp)
        rows[entities] = self._rows[order[starts + (counts - 1) // 2]]
        return rows
