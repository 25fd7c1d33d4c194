"""What an agent has proved: days on which it surely measured, and agreement that mattered."""

from dataclasses import dataclass, field
from datetime import timedelta

from netwatch.collector.agreement import Caught
from netwatch.collector.canary import CanaryCheck

PROOF_MEMORY = timedelta(days=30)
"""How long wrong canaries are remembered."""
AGREEMENT_MEMORY = timedelta(days=14)
"""How long agreement is remembered: an agent that turns loses its weight within two weeks."""
_MAX_WRONG = 0.02
"""Share of a day's intervals with canaries in which a page may be wrong."""
_NO_AGREEMENT, _FULL_AGREEMENT = 0.2, 0.6
"""Agreement up to which an agent weighs nothing, and from which it weighs in full. Guesses have 0;
an agent alone behind a censor of a third of its targets has two thirds."""
_TURNED_FACTOR = 0.25
"""Weight of agents that turned with their group: a doubt, until somebody has looked at them."""
_PRIOR = 1.0
"""Units of falls and of rises that an agent caught before it was judged."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What an agent has proved.

    Attributes:
        days: days on which it proved that it measures.
        has_lied: whether canaries were wrong in over 2 % of a day's intervals, lately.
        caught: falls and rises of targets that it was judged on, lately.
        has_turned: whether it stopped agreeing together with others of a group, lately.
    """

    days: int = 0
    has_lied: bool = False
    caught: Caught = field(default_factory=Caught)
    has_turned: bool = False

    @property
    def agreement(self) -> float:
        """Share of falls that it caught, plus that of rises, minus 1: 1 is perfect, 0 a guess."""
        one = self.caught
        falls = (one.caught_falls + _PRIOR) / (one.falls + _PRIOR)
        rises = (one.caught_rises + _PRIOR) / (one.rises + _PRIOR)
        return falls + rises - 1

    @property
    def factor(self) -> float:
        """Factor of the weight, 0 to 1."""
        span = _FULL_AGREEMENT - _NO_AGREEMENT
        factor = min(max((self.agreement - _NO_AGREEMENT) / span, 0), 1)
        return 0.0 if self.has_lied else factor * (_TURNED_FACTOR if self.has_turned else 1)


def proves(canaries: CanaryCheck, caught: Caught) -> bool:
    """Return whether one of these could not have been known without measuring."""
    return canaries.right > 0 or caught.caught_falls > 0


def is_lie(canaries: CanaryCheck) -> bool:
    """Return whether too many of a day's intervals were wrong; one may be an accident."""
    total = canaries.right + canaries.wrong
    return canaries.wrong > 1 and canaries.wrong > _MAX_WRONG * total
