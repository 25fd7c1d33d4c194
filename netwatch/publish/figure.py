"""Percentages as templates receive them: a form to choose the sentence by, and a number."""

from dataclasses import dataclass

from netwatch.model.percent import PercentForm, PublishedPercent, depth_form


@dataclass(frozen=True, slots=True)
class Figure:
    """A percentage of ordinary levels.

    Attributes:
        form: which sentence it needs.
        number: whole percent of `EXACT` and `ABOUT`, otherwise None.
    """

    form: PercentForm
    number: int | None = None


def figure(percent: PublishedPercent) -> Figure:
    """Return the published form of `percent`; its depth where no number may be given."""
    return Figure(percent.form, percent.number)


def depth_figure(percent: float) -> Figure:
    """Return the form without a number of a level, in percent of ordinary."""
    return Figure(depth_form(percent))
