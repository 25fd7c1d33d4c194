"""Percentages: the one place where a published number is rounded and put into words.

Every page, post, table and chart shows `Percent.text` as it is, or words where it is None,
so that no two outputs can disagree about the same figure.
"""

from netwatch.model import thresholds
from netwatch.model.incident import Percent

BELOW_ONE = "below 1%"
NO_SUCCESS = "no successful measurements"
ORDINARY = "at ordinary levels"
"""The texts of a percentage that are no numbers."""

_EXACT_HALF_WIDTH = 5.0
_ROUGH_HALF_WIDTH = 15.0
_ORDINARY_FROM = 100 * thresholds.ORDINARY


def make_percent(
    value: float, low: float, high: float, *, networks: int, coverage: float = 1.0
) -> Percent:
    """Return the published form of a level.

    Args:
        value: current over ordinary, 1.0 is ordinary, as in `Level.value`.
        low: lower end of its 95 % interval, the same unit.
        high: upper end.
        networks: how many networks were measured.
        coverage: share of the ordinary weight that was measured, 0 to 1.

    Half-width up to 5 points: whole number. Up to 15: "about", to the nearest 5. Wider, fewer
    than 5 networks, or less than 30 % of the weight measured: `text` is None, words only.
    """
    shares = (value * 100, low * 100, high * 100)
    half_width = (shares[2] - shares[1]) / 2
    enough = networks >= thresholds.MIN_NETWORKS and coverage >= thresholds.MIN_COVERAGE
    if not enough or half_width > _ROUGH_HALF_WIDTH:
        return Percent(*shares, text=None)
    return Percent(*shares, text=_text(shares[0], half_width))


def percent_phrase(percent: Percent) -> str:
    """Return `percent` as it follows "connectivity is": "at 7% of ordinary levels".

    Words by depth stand where there is no number.
    """
    if percent.text is None:
        return depth_words(percent.value)
    if percent.text in {ORDINARY, NO_SUCCESS}:
        return percent.text
    return f"at {percent.text} of ordinary levels"


def depth_words(percent: float) -> str:
    """Return the words for a depth, in percent of ordinary, that need no exact number."""
    steps = ((_ORDINARY_FROM, ORDINARY), (49.5, "reduced"), (14.5, "severely reduced"))
    for least, words in steps:
        if percent >= least:
            return words
    return "near-total loss" if percent > 0 else NO_SUCCESS


def _text(percent: float, half_width: float) -> str:
    """Return the text of a figure that may be shown."""
    if percent <= 0:
        return NO_SUCCESS
    if percent >= _ORDINARY_FROM:
        return ORDINARY
    if percent < 1:
        return BELOW_ONE
    if half_width <= _EXACT_HALF_WIDTH:
        return f"{percent:.0f}%"
    # Two and a half percent rounds to "about 0%", which nobody may read.
    return f"about {max(5, round(percent / 5) * 5)}%"
