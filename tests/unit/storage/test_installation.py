"""A lost file is named, and never replaced in silence."""

import logging
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from netwatch.model.errors import ConfigError
from netwatch.storage.installation import RECORD_FILE, Installation, LostError
from netwatch.storage.origin import read_origin
from netwatch.storage.sqlite_file import Schema, SqliteFile

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("one.sqlite", "two.sqlite")
SCHEMA = Schema("CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY)", version=1)


def open_plain(path: Path) -> SqliteFile:
    return SqliteFile(path, SCHEMA, durable=True)


def start(folder: Path, *names: str) -> None:
    """Open and close databases of an observatory."""
    for name in names or NAMES:
        Installation(folder, NAMES).open(name, open_plain).close()


def add_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("INSERT INTO row VALUES (NULL)")


def count_rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        return int(file.execute("SELECT count(*) FROM row").fetchone()[0])


def pass_an_hour(folder: Path) -> None:
    """Let the next start be a new generation."""
    for name in NAMES:
        with closing(sqlite3.connect(folder / name)) as file, file:
            file.execute("UPDATE origin SET since = since - 3600")


def keep_header(path: Path) -> None:
    """Leave a sound database without a table."""
    path.unlink()
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 1")


LOSSES = {
    "is missing": Path.unlink,
    "is empty": lambda path: path.write_bytes(b""),
    "is empty ": keep_header,
    "is not a database": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "its end is missing": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "is damaged": lambda path: path.write_bytes(path.read_bytes()[:4096]),
}


@pytest.mark.parametrize("fault", LOSSES)
def test_a_lost_file_is_named_until_the_loss_is_accepted(tmp_path: Path, fault: str) -> None:
    start(tmp_path)
    add_row(tmp_path / "two.sqlite")
    LOSSES[fault](tmp_path / "one.sqlite")
    for _ in range(2):
        with pytest.raises(LostError, match=fault.strip()) as refused:
            start(tmp_path, "one.sqlite")
        command = f"netwatch store accept one.sqlite --data {tmp_path}"
        assert str(refused.value).endswith(command)
        assert "\n" not in str(refused.value)
    start(tmp_path, "two.sqlite")
    assert fault.strip() in Installation(tmp_path, NAMES).accept("one.sqlite", NOW)
    start(tmp_path)
    assert count_rows(tmp_path / "one.sqlite") == 0
    assert count_rows(tmp_path / "two.sqlite") == 1
    assert Installation(tmp_path, NAMES).accept("one.sqlite", NOW) == ""


def test_a_log_without_its_database_is_not_thrown_away(tmp_path: Path) -> None:
    start(tmp_path)
    database = open_plain(tmp_path / "one.sqlite")
    with database.transaction() as connection:
        connection.execute("INSERT INTO row VALUES (NULL)")
    log = tmp_path / "one.sqlite-wal"
    content = log.read_bytes()
    database.close()
    (tmp_path / "one.sqlite").unlink()
    log.write_bytes(content)
    with pytest.raises(LostError, match=r"only its log one\.sqlite-wal is there"):
        start(tmp_path, "one.sqlite")
    assert log.read_bytes() == content


def test_a_leftover_index_of_the_log_does_no_harm(tmp_path: Path) -> None:
    start(tmp_path)
    (tmp_path / "one.sqlite-shm").write_bytes(b"\xff" * 32_768)
    start(tmp_path)


def test_an_older_copy_is_named(tmp_path: Path) -> None:
    start(tmp_path)
    shutil.copy(tmp_path / "one.sqlite", tmp_path / "backup")
    pass_an_hour(tmp_path)
    start(tmp_path)
    shutil.copy(tmp_path / "backup", tmp_path / "one.sqlite")
    with pytest.raises(LostError, match="is an older copy"):
        start(tmp_path, "one.sqlite")
    assert "older copy" in Installation(tmp_path, NAMES).accept("one.sqlite", NOW)
    start(tmp_path)
    # A backup of the whole folder is of one time, and is accepted.
    shutil.copytree(tmp_path, tmp_path / "all")
    start(tmp_path / "all")


def test_the_file_of_another_observatory_is_named(tmp_path: Path) -> None:
    start(tmp_path / "here")
    start(tmp_path / "there")
    shutil.copy(tmp_path / "there" / "one.sqlite", tmp_path / "here" / "one.sqlite")
    here = Installation(tmp_path / "here", NAMES)
    with pytest.raises(LostError, match="is of another observatory"):
        here.open("one.sqlite", open_plain)
    with pytest.raises(LostError, match="is of another observatory"):
        here.open_replaceable("one.sqlite", open_plain)
    here.accept("one.sqlite", NOW)
    start(tmp_path / "here")


def test_a_replaceable_file_starts_anew_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        Installation(tmp_path, NAMES).open_replaceable("one.sqlite", open_plain).close()
    assert caplog.messages == []
    (tmp_path / "one.sqlite").unlink()
    for _ in range(2):
        Installation(tmp_path, NAMES).open_replaceable("one.sqlite", open_plain).close()
    assert caplog.messages == [f"{tmp_path}/one.sqlite: is missing; going on with what there is"]


@pytest.mark.parametrize("content", [None, b"", b"\0" * 200, b'{"observatory":"x"}\n'])
def test_a_lost_record_is_made_again_from_the_files(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    start(tmp_path)
    before = read_origin(tmp_path / "one.sqlite")
    record = tmp_path / RECORD_FILE
    record.unlink() if content is None else record.write_bytes(content)
    with caplog.at_level(logging.ERROR):
        start(tmp_path, "one.sqlite")
    assert len(caplog.messages) == 1
    assert read_origin(tmp_path / "one.sqlite") == before
    (tmp_path / "two.sqlite").unlink()
    with pytest.raises(LostError, match=r"two\.sqlite: is missing"):
        start(tmp_path, "two.sqlite")


def load(path: Path) -> bytes:
    if not path.read_bytes():
        raise ConfigError(f"{path}: is not a private key")
    return path.read_bytes()


def test_a_lost_or_exchanged_key_is_named(tmp_path: Path) -> None:
    Installation(tmp_path, NAMES).record_key("a.key", b"1")
    with pytest.raises(LostError, match=r"a\.key: is missing; restore .* store accept a\.key"):
        Installation(tmp_path, NAMES).open_key("a.key", load)
    (tmp_path / "a.key").write_bytes(b"")
    with pytest.raises(LostError, match=r"a\.key: is not a private key; restore"):
        Installation(tmp_path, NAMES).open_key("a.key", load)
    with pytest.raises(LostError, match="is another key"):
        Installation(tmp_path, NAMES).record_key("a.key", b"2")
    assert Installation(tmp_path, NAMES).recorded_key("a.key") == b"1"
    assert "renamed" in Installation(tmp_path, NAMES).accept_key("a.key", NOW, is_sound=False)
    assert not (tmp_path / "a.key").exists()
    Installation(tmp_path, NAMES).record_key("a.key", b"2")


def test_files_of_an_older_version_are_adopted(tmp_path: Path) -> None:
    """They have no origin, and their folder no record."""
    open_plain(tmp_path / "one.sqlite").close()
    add_row(tmp_path / "one.sqlite")
    start(tmp_path)
    assert count_rows(tmp_path / "one.sqlite") == 1
    assert read_origin(tmp_path / "one.sqlite") == read_origin(tmp_path / "two.sqlite")
