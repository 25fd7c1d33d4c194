"""Prose and names keep to plain English: words that say too little, and what to write instead."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WORDS = {
    r"whoever|whomever|whosoever": "name the actor: the caller, an agent, the operator",
    r"whom": "start a second sentence",
    r"told": "published, logged, returned, acknowledged or known: say which",
    r"(set|sets|setting|put|left|leave|leaves) aside": "quarantine, skip or discard",
    r"aside": "apart from, or quarantined",
    r"beside|besides": "next to, in addition to, or and",
    r"(put|puts|set|sets) right": "correct or repair",
    r"kin": "the word of the field: related series, row index",
    r"heed|heeds|heeded": "follow or respect",
    r"lest": "so that ... does not",
    r"thereof|therein|thereby|whereof|wherein|hitherto|henceforth": "repeat the noun",
    r"by and by": "gradually or later",
    r"and the like|or the like|their kin": "name the other cases",
    r"(?-i:(is|are|was) none)": "is not one, or is missing",
    r"ones? that": "repeat the noun",
    r"went its own way": "diverged",
}
"""Regular expression and what to write in its place."""

_TEXTS = (".py", ".md", ".toml", ".yaml", ".yml", ".j2", ".txt", ".conf", ".service", "Makefile")
_EXEMPT = {"tests/test_prose.py", "requirements.lock", "LICENSE"}
_PATTERN = re.compile(rf"(?<![\w-])({'|'.join(WORDS)})(?![\w-])", re.IGNORECASE)
_NAME_WORDS = re.compile(
    r"(?:\b|_)(whoever|told|aside|beside|kin|heed|lest)(?:\b|_)", re.IGNORECASE
)


def texts() -> list[Path]:
    """Return the files of prose and code that git tracks, or would."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [
        ROOT / name
        for name in listed
        if name.endswith(_TEXTS)
        and name not in _EXEMPT
        and not name.startswith("tests/configs/")
        and (ROOT / name).exists()
    ]


def faults(text: str, *, is_page: bool) -> list[str]:
    """Return `line: word: what to write`; code spans of a page may quote an old name."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        plain = re.sub(r"`[^`]*`", "", line) if is_page else line
        for match in (*_PATTERN.finditer(plain), *_NAME_WORDS.finditer(plain)):
            word = match[1]
            advice = next(
                (say for rule, say in WORDS.items() if re.fullmatch(rule, word, re.IGNORECASE)), ""
            )
            found.append(f"{number}: {word!r}: {advice}")
    return found


def test_prose_and_names_are_plain_english() -> None:
    paths = texts()
    assert len(paths) > 300
    bad = [
        f"{path.relative_to(ROOT)}:{fault}"
        for path in paths
        for fault in faults(path.read_text("utf-8"), is_page=path.suffix == ".md")
    ]
    assert bad == []


@pytest.mark.parametrize(
    "text",
    [
        "Whoever asks is told.",
        "A damaged file is set aside.",
        "def find_kin(rows): ...",
        "was_told = True",
        "Old clocks are put right from steady ones.",
    ],
)
def test_the_word_list_finds_archaic_words(text: str) -> None:
    assert faults(text, is_page=False)


@pytest.mark.parametrize("text", ["Kinds of probes.", "The side of a square.", "a blessed list"])
def test_the_word_list_leaves_other_words_alone(text: str) -> None:
    assert not faults(text, is_page=False)
