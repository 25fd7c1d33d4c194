"""Each file of the data folder, damaged in every way: one line, and nothing else is lost."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from stat import S_IMODE

import pytest
from observatory_process import start
from sample_data_folder import facts, fill
from servers import free_port

from netwatch.app.data_files import DATA_FILES, OnDamage, find_data_file, secure_data_folder
from netwatch.config import Config, parse_config
from netwatch.model.incident import Incident, Post

pytestmark = pytest.mark.timeout(120)


def make_config(folder: Path) -> Config:
    return parse_config(
        f'data = "{folder}"\n[broker]\nport = {free_port()}\n[web]\nport = {free_port()}\n'
        '[publish]\nchannels = ["file"]\n[vantage]\nid = "v1"\n'
        '[agent]\nflush_interval = "0.2s"\n'
        '[[target]]\nid = "one"\nprobe = "tcp"\nhost = "127.0.0.1"\nport = 9\ncountry = "XT"\n'
    )


_MADE: list[Path] = []


@pytest.fixture
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    make_incident: Callable[..., Incident],
    make_post: Callable[..., Post],
) -> Path:
    """A folder with everything, made once, under the most careless umask."""
    if not _MADE:
        folder = tmp_path_factory.mktemp("whole") / "data"
        before = os.umask(0)
        try:
            fill(make_config(folder), make_incident(), make_post(channel="file"))
        finally:
            os.umask(before)
        _MADE.append(folder)
    return _MADE[0]


def names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_every_file_is_known_and_private(whole: Path) -> None:
    unknown = [name for name in names(whole) if find_data_file(name) is None]
    assert unknown == [], "enter the file in netwatch/app/data_files.py"
    for name in names(whole):
        kind = find_data_file(name)
        assert kind is not None
        wanted = 0o644 if kind.is_public else 0o600
        assert S_IMODE((whole / name).stat().st_mode) == wanted, name
    assert S_IMODE(whole.stat().st_mode) == 0o700


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content, dice = bytearray(path.read_bytes()), Random(5)
    for _ in range(1 + len(content) // 200):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def make_unreadable(path: Path) -> None:
    """Put a folder in its place, which not even the superuser can read as a file."""
    path.unlink()
    path.mkdir(0o700)


DAMAGES = (truncate, flip, zero, empty, make_unreadable, Path.unlink)
CASES = [
    kind.pattern
    for kind in DATA_FILES
    # The two coarser stores are of one class, and have no compacted day for a while.
    if kind.on_damage is not OnDamage.NOTHING
    and not kind.pattern.startswith(("five-minutes/", "hourly/days", "agent-*.key.new"))
]


REFUSED = ("batches.sqlite", "ledger.sqlite", "collector.key")
NEEDED = (*REFUSED, "installation.json", "series.sqlite", "days/*.parquet", "presence.sqlite")
"""What a start reads, so that every damage shows; the other files are read when they are used."""


# A part that refuses at once ends others whose sockets were made a moment before.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("pattern", CASES)
async def test_a_damaged_file_costs_one_line_and_nothing_else(
    whole: Path,
    tmp_path: Path,
    pattern: str,
    damage: Callable[[Path], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(whole, folder)
    found = [path.relative_to(folder).as_posix() for path in sorted(folder.glob(pattern))]
    found = [name for name in found if (kind := find_data_file(name)) and kind.pattern == pattern]
    name = found[-1]  # the newest day, which pages show
    before = facts(folder, without=name)
    damage(folder / name)
    caplog.set_level(logging.WARNING)
    refusal = await start(make_config(folder))
    assert facts(folder, without=name) == before
    assert not any(one.exc_info for one in caplog.records)
    lines = [*caplog.messages, *filter(None, [refusal])]
    about = [line for line in lines if Path(name).name in line]
    assert "\n" not in "".join(lines)
    # A folder in the place of a file can be neither read nor replaced, which are two faults.
    assert len(about) <= 1 + (damage is make_unreadable and not refusal), about
    assert about or pattern not in NEEDED, "it was used, and nothing was said"
    if pattern in NEEDED and damage is not make_unreadable:
        assert bool(refusal) == (pattern in REFUSED), refusal


def test_the_documentation_names_every_file() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data-folder.md").read_text("utf-8")
    for pattern in CASES:
        assert f"`{pattern}`" in page, pattern


def test_files_that_others_could_read_are_closed_with_one_line(
    whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(whole, folder)
    for path in (folder, *folder.glob("*.sqlite"), folder / "broker.password"):
        path.chmod(0o777)
    for _ in range(2):
        secure_data_folder(folder)
    assert len(caplog.messages) == 1
    assert S_IMODE(folder.stat().st_mode) == 0o700
    assert S_IMODE((folder / "batches.sqlite").stat().st_mode) & 0o077 == 0
