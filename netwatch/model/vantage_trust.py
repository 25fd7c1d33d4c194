"""How much a vantage counts, and who answers for it."""

from collections.abc import Mapping
from dataclasses import dataclass

OPEN_OWNER = "open"
"""Owner of every agent that never enrolled: keys are free, so all of them are one owner."""
OBSERVATORY_OWNER = ""
"""Owner of the observatory's own vantages."""
PROVISIONAL_WEIGHT = 0.01
"""Weight of newcomers where nobody established measures: alike among themselves, and as little
evidence as nobody can be sure of. An established vantage always weighs more."""


@dataclass(frozen=True, slots=True)
class VantageTrust:
    """Trust in a vantage from its past, and its owner.

    Attributes:
        weight: 0 to 1; with 0 the vantage does not count.
        owner: label of the invitation that it enrolled with, or `@` and its own name, which is
            no label; see the constants of this module for the others. It is never published.
    """

    weight: float = 1.0
    owner: str = OBSERVATORY_OWNER

    @property
    def is_established(self) -> bool:
        """Whether the vantage has earned its weight; without any such, nobody can be sure."""
        return self.weight > PROVISIONAL_WEIGHT


OWN_VANTAGE = VantageTrust()
"""Trust in the observatory's own vantages."""
Weights = Mapping[tuple[str, str], VantageTrust]
"""Trust by id and country of a vantage; a missing one is the observatory's own."""
