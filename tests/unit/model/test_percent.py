import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.percent import Precision, PublishedPercent, depth_form, make_percent
from netwatch.publish.language import ENGLISH


def text_of(percent: PublishedPercent) -> str:
    return ENGLISH.text("percent", percent)


@pytest.mark.parametrize(
    ("shares", "text"),
    [
        ((0.070, 0.045, 0.100), "7%"),
        ((0.674, 0.596, 0.750), "about 65%"),
        ((0.380, 0.330, 0.430), "38%"),
        ((0.380, 0.329, 0.430), "about 40%"),
        ((0.500, 0.340, 0.650), None),
        ((0.004, 0.000, 0.010), "below 1%"),
        ((0.000, 0.000, 0.010), "no successful measurements"),
        ((0.950, 0.930, 0.970), "at ordinary levels"),
        ((1.200, 1.180, 1.220), "at ordinary levels"),
        ((0.949, 0.930, 0.970), "95%"),
        ((0.021, 0.000, 0.140), "about 5%"),
    ],
)
def test_precision_of_the_text_follows_the_interval(
    shares: tuple[float, float, float], text: str | None
) -> None:
    percent = make_percent(*shares, networks=12)
    shown = None if percent.precision is Precision.NONE else text_of(percent)
    assert shown == text


def test_few_networks_or_little_coverage_give_no_number() -> None:
    assert make_percent(0.07, 0.05, 0.09, networks=4).precision is Precision.NONE
    assert make_percent(0.07, 0.05, 0.09, networks=5).number == 7
    assert make_percent(0.07, 0.05, 0.09, networks=9, coverage=0.29).precision is Precision.NONE
    assert make_percent(0.07, 0.05, 0.09, networks=9, coverage=0.3).number == 7


@given(
    value=st.floats(0, 3),
    below=st.floats(0, 0.5),
    above=st.floats(0, 0.5),
    networks=st.integers(0, 20),
)
def test_never_prints_zero_percent_or_more_than_ordinary(
    value: float, below: float, above: float, networks: int
) -> None:
    percent = make_percent(value, max(0, value - below), value + above, networks=networks)
    shown = text_of(percent)
    assert not shown.startswith(("0%", "about 0%"))
    digits = "".join(character for character in shown if character.isdigit())
    assert not digits or 1 <= int(digits) <= 95
    assert ("no successful measurements" in shown) == (percent.value <= 0), (
        "zero and nearly zero differ"
    )


@pytest.mark.parametrize(
    ("percent", "words"),
    [
        (100.0, "at ordinary levels"),
        (94.0, "reduced"),
        (50.0, "reduced"),
        (49.0, "severely reduced"),
        (15.0, "severely reduced"),
        (14.0, "near-total loss"),
        (0.1, "near-total loss"),
        (0.0, "no successful measurements"),
    ],
)
def test_wording_by_depth(percent: float, words: str) -> None:
    assert ENGLISH.text("depth", depth_form(percent)) == words


def phrase_of(percent: PublishedPercent) -> str:
    return ENGLISH.text("percent_phrase", percent)


def test_a_phrase_follows_connectivity_is() -> None:
    assert phrase_of(make_percent(0.07, 0.05, 0.09, networks=9)) == "at 7% of ordinary levels"
    assert phrase_of(make_percent(1, 1, 1, networks=9)) == "at ordinary levels"
    assert phrase_of(make_percent(0, 0, 0, networks=9)) == "no successful measurements"
    assert phrase_of(make_percent(0.3, 0, 1, networks=9)) == "severely reduced"
