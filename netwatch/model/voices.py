"""How many independent vantages a claim stands on; with few, nobody can be sure of it.

A voice is a network of vantages and an owner. Where one owner has all vantages of a fleet, only
networks can be counted. The number of a place is stored as a series where it is small.
"""

from collections.abc import Iterable, Mapping

from netwatch.model.entities import Entity
from netwatch.model.series import Bin

VOICES = "voices"
"""Signal of the number of voices at a place, in a fleet of several owners."""
OWN_VOICES = f"{VOICES}:own"
"""Signal of the same number in a fleet of one owner, who believes all vantages or none."""
SURE_VOICES = 5
"""Voices from which on the record is sure: one of five cannot move a level by more than a fifth."""
MIN_VOICES = 3
"""Voices that alone may confirm a national loss: one of two cannot be outvoted."""
FewVoices = Mapping[Entity, bool]
"""Places with few voices, and whether these are too few to confirm a national loss."""


def is_voices(one: Bin) -> bool:
    """Return whether a bin has a number of voices, which is no evidence of a loss."""
    return one.series.signal in {VOICES, OWN_VOICES}


def few_voices(bins: Iterable[Bin]) -> FewVoices:
    """Return the places with few voices, from the bins of one interval."""
    return {
        one.series.entity: one.series.signal == VOICES and one.value < MIN_VOICES
        for one in bins
        if is_voices(one)
    }
