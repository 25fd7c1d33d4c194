"""The whole command line, as a user runs it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.cli.main import run

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run the command line in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def call_netwatch(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["netwatch", *words])
        code = 0
        try:
            run()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return call_netwatch
