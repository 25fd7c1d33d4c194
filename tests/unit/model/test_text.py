import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.text import (
    MAX_NAME,
    MAX_WORD,
    as_word,
    clean_line,
    escape_json,
    escape_line,
    is_shown,
    is_word,
)

ANYTHING = st.text(st.characters(), max_size=400)


@given(ANYTHING)
def test_what_a_probe_says_becomes_what_may_be_sent(text: str) -> None:
    assert is_word(as_word(text)) or not text


@given(ANYTHING)
def test_a_clean_line_is_one_short_line_without_anything_that_acts(text: str) -> None:
    line = clean_line(text)
    assert len(line.splitlines()) <= 1
    assert len(line) <= MAX_NAME
    assert all(map(is_shown, line))
    assert clean_line(line) == line


@given(ANYTHING)
def test_an_escaped_line_is_one_line_without_anything_that_acts(text: str) -> None:
    assert all(map(is_shown, escape_line(text)))


@given(st.recursive(ANYTHING, lambda inner: st.lists(inner) | st.dictionaries(ANYTHING, inner)))
def test_escaped_json_has_the_same_value(value: object) -> None:
    text = escape_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert all(one == "\n" or is_shown(one) for one in text)


@pytest.mark.parametrize(
    "text",
    ["", "x" * (MAX_WORD + 1), "a\n", "\x1b[31m", "caf\u00e9", "\u202eevil", "a\x00b", "\x7f"],
)
def test_a_word_is_short_printable_ascii(text: str) -> None:
    assert not is_word(text)
    assert is_word("connection_refused: a <b>$x$</b>")


def test_names_of_every_script_stay_as_they_are() -> None:
    for name in (
        "مخابرات",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "日本電信電話",
        "Curaçao",
        "Ελλάδα",
    ):
        assert clean_line(name) == name
        assert escape_line(name) == name


def test_a_huge_name_is_cut_without_reading_all_of_it() -> None:
    assert clean_line("Ω" * 10_000) == "Ω" * (MAX_NAME - 1) + "…"
    assert len(escape_line("x" * 1_000_000)) < 3_000
