"""The wheel works when installed without access to the source tree."""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
# Building and installing come before the first test.
pytestmark = pytest.mark.timeout(120)
PROBE = """
import asyncio, json, sys
from importlib.metadata import entry_points
import netwatch, netwatch_probes
from netwatch.model.measurement import Target
from netwatch.plugins import load_plugin, plugin_names

async def ask():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    target = Target("here", "tcp", "127.0.0.1", port=port)
    seen = await load_plugin("probes", "tcp")().measure(target, within=5)
    server.close()
    return [[one.operation, one.failure] for one in seen]

print(json.dumps({
    "files": [netwatch.__file__, netwatch_probes.__file__],
    "probes": plugin_names("probes"),
    "channels": plugin_names("channels"),
    "stores": plugin_names("stores"),
    "seen": asyncio.run(ask()),
}))
"""


@dataclass(frozen=True)
class Installed:
    """The wheel, and the virtual environment where it is installed."""

    folder: Path
    wheel: Path

    def run(self, *command: str) -> str:
        """Run a program of the environment outside the source tree; return its output."""
        ended = subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


def _run(*command: str | Path, cwd: Path) -> None:
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with tempfile.TemporaryDirectory(prefix="nw-wheel-") as name:
        folder = Path(name)
        build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder)
        _run(*build, ROOT, cwd=folder)
        [wheel] = folder.glob("*.whl")
        home = folder / "venv"
        venv.create(home, with_pip=False, symlinks=True)
        _run(
            sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install",
            "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", wheel, cwd=folder,
        )  # fmt: skip
        _lend_dependencies(home)
        yield Installed(home, wheel)


def _lend_dependencies(home: Path) -> None:
    """Let the environment see this one's packages, but not the source tree they point to."""
    [packages] = home.glob("lib/python*/site-packages")
    lent = packages.parent / "lent"
    lent.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        ours = entry.name.startswith(("netwatch", "_netwatch", "_editable", "__editable__"))
        if not ours and entry.suffix != ".pth":
            (lent / entry.name).symlink_to(entry)
    (packages / "lent.pth").write_text(f"{lent}\n")


def test_it_prints_its_version(installed: Installed) -> None:
    version = installed.wheel.name.split("-")[1]
    assert installed.run("netwatch", "--version") == f"netwatch {version}\n"


def test_probes_are_found_through_their_entry_points_and_work(installed: Installed) -> None:
    found = json.loads(installed.run("python", "-I", "-c", PROBE))
    for file in found["files"]:
        assert Path(file).is_relative_to(installed.folder.resolve())
        assert not Path(file).is_relative_to(ROOT)
    assert {"dns", "http", "tcp"} <= set(found["probes"])
    assert {"console", "file", "mqtt", "webhook"} <= set(found["channels"])
    assert {"influx", "memory", "sqlite"} <= set(found["stores"])
    assert found["seen"]
    assert all(failure is None for _, failure in found["seen"])


def test_it_replays_iran(installed: Installed) -> None:
    moment, out = "2019-11-17T05:30Z", str(installed.folder / "replay")
    said = installed.run(
        "netwatch", "replay", "iran-2019-11", "--json", "--at", moment, "--out", out
    )
    report = json.loads(said)
    [statement] = report["statements"]
    assert statement.endswith(
        "at 7% of ordinary levels after 12 hours of progressive disconnections."
    )
    assert {Path(picture).suffix for picture in report["pictures"]} == {".png", ".svg"}
    assert all(Path(picture).stat().st_size > 1000 for picture in report["pictures"])


def test_it_writes_a_configuration_and_refuses_a_broken_one(installed: Installed) -> None:
    path = installed.folder / "netwatch.toml"
    installed.run("netwatch", "init", str(path))
    assert "[vantage]" in path.read_text("utf-8")


def test_it_contains_exactly_the_files_it_needs(installed: Installed) -> None:
    names = ZipFile(installed.wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    info = {name for name in tops if name.endswith(".dist-info")}
    assert len(info) == 1
    assert tops - info == {"netwatch", "netwatch_probes"}
    assert {"netwatch/app/starter.toml", "netwatch/publish/templates/en.txt"} <= set(names)
    assert any(name.startswith("netwatch/lab/sample_data/iran-2019-11") for name in names)
    assert any(name.endswith("/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or "/test" in name]
