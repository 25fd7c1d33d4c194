"""What several signals say together about one entity.

Each signal's belief becomes a Bayes factor against the chance that it is low anyhow, capped by
how often that signal alone lies for long; a signal that does not see an event which others see
counts against it, but is no veto (rho is the chance that it would see one).

    odds = prior * product of (rho * BF + 1 - rho)

Active signals judge by themselves, since their cap would have to grow with the number of
independent answers behind them; fusion adds the events that they do not see. It takes two
other signals that agree, and never routes alone.
"""

from dataclasses import dataclass

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray
from netwatch.model.signals import signal_spec

_PRIOR = 2e-4
_CHANCE = 0.009
"""Share of time that the filter's chain spends below ordinary without any evidence."""
_STEP = np.log(10.0)
"""What each observation adds to how far a signal is believed: one volunteer in ten, seen by
himself, is away for reasons of his own; two at once are one case in a hundred."""
_ASSURED = 0.2
"""An active signal with a Bayes factor below this does not only see no loss: it sees none."""
_DEMAND = 0.5
"""People who stay away leave more than this of what they usually send; a cut may leave less."""
_AGREES = 0.5
_LEAST_AGREEING = 2
_DOUBT = 0.94
"""What fewer signals than that say together is never more probable than this."""


@dataclass(frozen=True, slots=True)
class Fused:
    """What the signals of some entities say together; arrays of shape (entities,).

    Attributes:
        rows: the signal row that leads each entity: its value is the entity's.
        probability: that the entity is below ordinary. Where people stay away while networks
            answer (a holiday, a match, a curfew on people), that is no loss.
    """

    rows: RowArray
    probability: Floats


class Fusion:
    """The entities with more than one signal, and what their signals are worth."""

    def __init__(self, entity: RowArray, signals: list[str]) -> None:
        """Take for every row its entity's number (-1 for one signal only) and signal."""
        self._rows = np.flatnonzero(entity >= 0)
        self._entity = entity[self._rows]
        self.size = int(entity.max(initial=-1)) + 1
        specs = [signal_spec(signals[row]) for row in self._rows]
        self._active = np.array([spec.active for spec in specs], dtype=bool)
        self._detection = np.array([spec.detection_probability for spec in specs], float)
        self._cap = np.array([spec.max_bayes_factor for spec in specs], float)

    def fuse(
        self, ratio: Floats, probability: Floats, *, depth: Floats, observations: Floats
    ) -> Fused:
        """Return what the rows say together.

        Args:
            ratio: current over ordinary, NaN for no data.
            probability: that each row is below ordinary.
            depth: what is left if it is, in the mean over what is believed.
            observations: how many independent ones are behind each row in ordinary times,
                infinite where they are many or unknown.
        """
        chance = np.clip(probability[self._rows], 1e-12, 1 - 1e-12)
        seen = np.isfinite(ratio[self._rows])
        cap = np.minimum(self._cap, np.exp(np.minimum(_STEP * observations[self._rows], 99)))
        factor = np.minimum(chance / (1 - chance) / (_CHANCE / (1 - _CHANCE)), cap)
        terms = np.where(seen, np.log(self._detection * factor + 1 - self._detection), 0.0)
        odds = np.log(_PRIOR) + np.bincount(self._entity, terms, self.size)
        together = 1 / (1 + np.exp(-np.clip(odds, -700, 700)))
        agreeing = (chance > _AGREES) & seen & ~self._active
        count = np.bincount(self._entity, agreeing, self.size)
        together = np.where(count >= _LEAST_AGREEING, together, np.minimum(together, _DOUBT))
        alone = np.full(self.size, -1.0)
        np.maximum.at(alone, self._entity, np.where(self._active & seen, chance, -1.0))
        leads = alone >= np.where(count >= _LEAST_AGREEING, together, 0.0)
        eligible = np.where(leads[self._entity], self._active, agreeing)
        none = np.bincount(self._entity, eligible & seen, self.size) == 0
        rows = self._leading(ratio[self._rows], eligible | none[self._entity])
        mild = agreeing & (depth[self._rows] > _DEMAND)
        mildly = np.bincount(self._entity, mild, self.size) > 0
        demand = ~leads & (together > _AGREES) & mildly & self._assured(factor, seen)
        together = np.where(demand, np.minimum(together, _AGREES), together)
        return Fused(rows, np.where(leads, alone, together))

    def _assured(self, factor: Floats, seen: Bools) -> Bools:
        """Return which entities an active signal has seen to be as ever."""
        sure = self._active & seen & (factor < _ASSURED)
        return np.bincount(self._entity, sure, self.size) > 0

    def _leading(self, ratio: Floats, eligible: Bools) -> RowArray:
        """Return for each entity the eligible row of the median ratio, -1 without any."""
        use = np.flatnonzero(eligible & np.isfinite(ratio))
        order = use[np.lexsort((ratio[use], self._entity[use]))]
        names, starts, counts = np.unique(
            self._entity[order], return_index=True, return_counts=True
        )
        found = np.full(self.size, -1, np.intp)
        found[names] = self._rows[order[starts + (counts - 1) // 2]]
        return found
