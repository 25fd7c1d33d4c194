"""Prose and names keep to plain English: words that say too little, and what to write instead."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WORDS = {
    ("whoever", "whomever", "whosoever"): "name the actor: the caller, an agent, the operator",
    ("whom",): "start a second sentence",
    ("told",): "published, logged, returned, acknowledged or known: say which",
    ("aside",): "quarantine, skip, discard, or apart from",
    ("beside", "besides"): "next to, in addition to, or and",
    ("put right", "puts right", "set right", "sets right"): "correct or repair",
    ("kin",): "the word of the field: related series, row index",
    ("heed", "heeds", "heeded"): "follow or respect",
    ("lest",): "so that ... does not",
    ("thereof", "therein", "thereby", "whereof", "wherein", "hitherto", "henceforth"): (
        "repeat the noun"
    ),
    ("by and by",): "gradually or later",
    ("and the like", "or the like"): "name the other cases",
    ("is none", "are none", "was none"): "is not one, or is missing",
    ("went its own way",): "diverged",
}
"""Phrases in lower case, and what to write in their place."""

_TEXTS = (".py", ".md", ".toml", ".yaml", ".yml", ".j2", ".txt", ".conf", ".service", "Makefile")
_EXEMPT = {"tests/test_prose.py", "requirements.lock", "LICENSE"}
_CODE_SPAN = re.compile(r"`[^`\n]*`")


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
    """Return `line: phrase: what to write`; code spans of a page may quote an old name."""
    plain = _CODE_SPAN.sub("", text) if is_page else text
    # `x is None` is code, not prose.
    lower = plain.replace("None", "").lower()
    found = []
    for phrases, advice in WORDS.items():
        for phrase in phrases:
            if phrase not in lower:
                continue
            for match in re.finditer(rf"(?<![^\W_]){phrase}(?![^\W_])", lower):
                line = lower.count("\n", 0, match.start()) + 1
                found.append(f"{line}: {phrase!r}: {advice}")
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
