"""Percentages as templates receive them: a form to choose the sentence by, and a number."""

import re
from dataclasses import dataclass

from netwatch.model.incident import Percent
from netwatch.model.percent import BELOW_ONE, NO_SUCCESS, depth_words


@dataclass(frozen=True, slots=True)
class Figure:
    """A percentage of ordinary levels.

    Attributes:
        form: `exact`, `about`, `below_one`, `ordinary`, `none` (no successful measurement);
            without a number also `reduced`, `severely_reduced`, `near_total`.
        number: whole percent of `exact` and `about`, otherwise None.
    """

    form: str
    number: int | None = None


def figure(percent: Percent) -> Figure:
    """Return the published form of `percent`; its depth where no number may be given."""
    if percent.text is None:
        return depth_figure(percent.value)
    if percent.text == BELOW_ONE:
        return Figure("below_one")
    digits = re.search(r"\d+", percent.text)
    if digits is None:
        return depth_figure(percent.value)
    return Figure("about" if percent.text.startswith("about") else "exact", int(digits[0]))


def depth_figure(percent: float) -> Figure:
    """Return the form without a number of a level, in percent of ordinary."""
    words = depth_words(percent)
    forms = {"at ordinary levels": "ordinary", NO_SUCCESS: "none", "near-total loss": "near_total"}
    return Figure(forms.get(words, words.replace(" ", "_")))
