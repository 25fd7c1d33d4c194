"""No run of six lines of logic stands in two places of the package."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DECLARATIONS = ROOT / "netwatch/protocols.py"
"""Signatures that the implementations must repeat; it holds no logic."""
SOURCES = sorted({*ROOT.glob("netwatch/**/*.py"), *ROOT.glob("probes/**/*.py")} - {DECLARATIONS})
RUN = 6
"""Lines of logic: statements' lines, without imports, docstrings, comments and lone brackets."""


def logic_lines(text: str) -> list[tuple[int, str]]:
    """Return (line number, stripped line) of every line that holds logic."""
    tree = ast.parse(text)
    skipped = set[int]()
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or isinstance(node, ast.Import | ast.ImportFrom):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        plain = line.strip()
        if number in skipped or plain.startswith("#") or not any(c.isalnum() for c in plain):
            continue
        found.append((number, plain))
    return found


def repeated_runs(texts: dict[str, str]) -> Iterator[str]:
    """Yield `a.py:10 = b.py:40` for every run of lines that stands in two places."""
    places = defaultdict[tuple[str, ...], list[str]](list)
    for name, text in texts.items():
        lines = logic_lines(text)
        for first in range(len(lines) - RUN + 1):
            run = tuple(line for _, line in lines[first : first + RUN])
            places[run].append(f"{name}:{lines[first][0]}")
    for where in places.values():
        if len(where) > 1:
            yield " = ".join(where)


def test_no_six_lines_of_logic_are_duplicated() -> None:
    assert len(SOURCES) > 150
    texts = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in SOURCES}
    assert list(repeated_runs(texts)) == []


@pytest.mark.parametrize(("lines", "count"), [(RUN, 1), (RUN - 1, 0)])
def test_a_repeated_run_is_found(lines: int, count: int) -> None:
    body = "".join(f"    value_{line} = work({line})\n" for line in range(lines))
    texts = {"a.py": f"def first():\n{body}", "b.py": f"def second():\n    # Why.\n{body}"}
    assert len(list(repeated_runs(texts))) == count
