"""Text from outside: what it may be at the border, and how every exit shows it.

Words that agents send are codes: printable ASCII, at most `MAX_WORD` characters; other messages
are refused. Names that the operator writes may have every script, on one line.
"""

import re
import unicodedata

MAX_WORD = 128
"""Characters of a word that an agent sends."""
MAX_NAME = 120
"""Characters of a place's name that are shown; the longest official one of a country has 56."""
WORD_PATTERN = r"^[ -~]*\Z"
"""What a word that agents send may have: printable ASCII, also as a pattern of a decoder."""
_WORD = re.compile(rf"(?=.{{1,{MAX_WORD}}}\Z)[ -~]+", re.DOTALL)
_UNPRINTABLE = re.compile(r"[^ -~]")
_JOINERS = "\u200c\u200d"
"""Zero-width joiners, which Persian and Indic names are written with."""
_ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""General categories of Unicode whose characters act on a line or have no shape."""
_LONGEST_LINE = 2_000
"""Characters of a line of a log or a terminal that come from anywhere."""


def is_word(text: str) -> bool:
    """Return whether `text` is what an agent may send as the name of something."""
    return _WORD.fullmatch(text) is not None


def as_word(text: str) -> str:
    """Return `text` as an agent may send it: a probe's detail may quote what a server sent."""
    return _UNPRINTABLE.sub("?", text[:MAX_WORD])


def clean_line(text: str, most: int = MAX_NAME) -> str:
    """Return `text` on one line, without terminal escapes and bidirectional overrides.

    Other characters than `is_shown` become spaces; beyond `most` characters is an ellipsis.
    """
    # Spaces and controls are dropped, so look at more than is shown, but not at megabytes.
    kept = (one if is_shown(one) else " " for one in text[: 4 * most])
    line = " ".join("".join(kept).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def escape_line(text: str) -> str:
    """Return `text` for a log: what is not printed is escaped, so that it stays one line."""
    shown = "".join(one if is_shown(one) else ascii(one)[1:-1] for one in text[:_LONGEST_LINE])
    return shown if len(text) <= _LONGEST_LINE else f"{shown}…"


def escape_json(text: str) -> str:
    """Return a JSON text with everything that a terminal would act on as JSON's own escapes."""
    kept = (one if one == "\n" or is_shown(one) else _json_escape(one) for one in text)
    return "".join(kept)


def is_shown(character: str) -> bool:
    """Return whether a character is part of a line: no control, format or line separator."""
    return character in _JOINERS or unicodedata.category(character) not in _ACTING


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs)
