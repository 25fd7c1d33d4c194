"""The one command that stays in memory is read by hand, and only where it is plain."""

import subprocess
import sys
from pathlib import Path

import pytest

from netwatch.cli.entrypoint import parse_agent_run


@pytest.mark.parametrize(
    ("words", "config"),
    [
        ("agent run", "netwatch.toml"),
        ("-v agent run", "netwatch.toml"),
        ("agent run -c a.toml", "a.toml"),
        ("--verbose agent run --config a.toml", "a.toml"),
        ("agent run --config=a.toml", None),
        ("agent run --help", None),
        ("agent run -c --help", None),
        ("agent run a.toml", None),
        ("agent once", None),
        ("agent", None),
        ("", None),
        ("--version", None),
    ],
)
def test_only_the_plain_command_line_is_parsed(words: str, config: str | None) -> None:
    assert parse_agent_run(words.split()) == (config and Path(config))


def test_a_wrong_configuration_gives_the_same_one_line_error(tmp_path: Path) -> None:
    path = tmp_path / "netwatch.toml"
    path.write_text("[agent]\nperiot = 3\n")
    command = [sys.executable, "-m", "netwatch", "agent", "run"]
    finished = [
        subprocess.run([*command, *words], check=False, capture_output=True, text=True)
        for words in (["-c", str(path)], [f"--config={path}"])
    ]
    assert [one.returncode for one in finished] == [2, 2]
    assert finished[0].stderr == finished[1].stderr
    assert finished[0].stderr.count("\n") == 1
    assert "periot" in finished[0].stderr


def test_a_vantage_does_not_import_the_command_line() -> None:
    program = (
        "import sys, netwatch.cli.entrypoint, netwatch.app.vantage, netwatch.aio.tasks;"
        "print(sorted({'typer', 'rich', 'pydantic', 'numpy', 'click'} & set(sys.modules)))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert finished.stdout == "[]\n"
