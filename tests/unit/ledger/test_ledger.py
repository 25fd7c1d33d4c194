import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.errors import StoreError
from netwatch.model.incident import Incident, Post
from netwatch.protocols import Checkpoint

_READ_EVERY = 0.01
"""Seconds between reads: a reader without pause takes a processor from the writers."""
_WRITER = """
import sys
import time
from dataclasses import replace
from pathlib import Path
import msgspec
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.incident import Incident, Post

incident, post = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[Incident, Post])
ledger = SqlLedger(ledger_url(Path(sys.argv[1])))
name = sys.argv[2]
for number in range(1, 16):
    ledger.record(
        [replace(incident, id=name, revision=number)],
        [replace(post, key=f"{name}-{number}", incident=name)],
    )
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqlLedger]:
    ledger = SqlLedger(ledger_url(path))
    yield ledger
    ledger.close()


def test_runs_in_wal_mode_in_a_folder_that_it_makes(ledger: SqlLedger, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_changed_revision_shows_in_the_chain(
    ledger: SqlLedger, path: Path, make_incident: Callable[..., Incident]
) -> None:
    ledger.record([make_incident(revision=number) for number in (1, 2, 3)], [])
    assert ledger.verify_chain() == []
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE incident_revision SET document = CAST(replace(CAST(document AS TEXT), "
            "'\"networks_lost\":11', '\"networks_lost\":1') AS BLOB) WHERE revision = 2"
        )
    connection.close()
    assert ledger.revisions("NW-IR-2019-0042")[1].networks_lost == 1
    assert ledger.verify_chain() == [("NW-IR-2019-0042", 2)]


def test_a_lost_revision_shows_in_the_chain(
    ledger: SqlLedger, path: Path, make_incident: Callable[..., Incident]
) -> None:
    ledger.record([make_incident(revision=number) for number in (1, 2, 3)], [])
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM incident_revision WHERE revision = 2")
    connection.close()
    assert ledger.verify_chain() == [("NW-IR-2019-0042", 3)]


def test_a_full_disk_gives_a_one_line_error_and_loses_nothing_else(
    ledger: SqlLedger, make_incident: Callable[..., Incident]
) -> None:
    ledger.record([make_incident()], [])
    with ledger._database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
    big = Checkpoint(make_incident().at, b"x" * 1_000_000)
    with pytest.raises(StoreError, match="ledger: cannot write: database or disk is full"):
        ledger.record([make_incident(revision=2)], [], checkpoint=big)
    assert [one.revision for one in ledger.revisions("NW-IR-2019-0042")] == [1]
    assert ledger.checkpoint() is None


def test_a_checkpoint_of_megabytes_is_replaced_not_piled_up(
    ledger: SqlLedger, path: Path, make_incident: Callable[..., Incident]
) -> None:
    for number in range(8):
        until = make_incident().at + timedelta(minutes=number)
        ledger.record([], [], checkpoint=Checkpoint(until, bytes([number]) * 2_000_000))
    assert ledger.checkpoint().state == bytes([7]) * 2_000_000
    ledger.close()
    assert path.stat().st_size < 6_000_000


def test_a_file_that_is_not_a_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="ledger: cannot open: file is not a database"):
        SqlLedger(ledger_url(path))


def test_a_missing_driver_is_refused_in_one_line() -> None:
    with pytest.raises(StoreError, match=r"ledger: cannot open: .*nonesuch"):
        SqlLedger("nonesuch://localhost/netwatch")


def test_two_processes_write_one_new_file_while_a_third_reads(
    path: Path, make_incident: Callable[..., Incident], make_post: Callable[..., Post]
) -> None:
    content = msgspec.json.encode((make_incident(), make_post()))
    names = ("NW-IR-2019-0001", "NW-IR-2019-0002")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), name],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in names
    ]
    for writer in writers:
        writer.stdin.write(content)
        writer.stdin.close()
        writer.stdin = None
    reader = SqlLedger(ledger_url(path))
    seen = 0
    while any(writer.poll() is None for writer in writers):
        now = sum(len(reader.revisions(name)) for name in names)
        assert now >= seen
        seen = now
        time.sleep(_READ_EVERY)
    for writer in writers:
        assert writer.communicate()[1] == b""
        assert writer.returncode == 0
    assert [len(reader.revisions(name)) for name in names] == [15, 15]
    assert len(reader.outbox.due(make_post().created_at)) == 2, "one thread an incident at a time"
    assert reader.verify_chain() == []
    reader.close()


def test_a_killed_writer_leaves_whole_transactions(
    path: Path, make_incident: Callable[..., Incident], make_post: Callable[..., Post]
) -> None:
    endless = _WRITER.replace("range(1, 16)", "range(1, 10**9)")
    with subprocess.Popen(
        [sys.executable, "-c", endless, str(path), "NW-IR-2019-0001"], stdin=subprocess.PIPE
    ) as writer:
        assert writer.stdin is not None
        writer.stdin.write(msgspec.json.encode((make_incident(), make_post())))
        writer.stdin.close()
        reader = SqlLedger(ledger_url(path))
        while len(reader.revisions("NW-IR-2019-0001")) < 20:
            assert writer.poll() is None
            time.sleep(_READ_EVERY)
        writer.kill()
    revisions = reader.revisions("NW-IR-2019-0001")
    assert [one.revision for one in revisions] == list(range(1, len(revisions) + 1))
    assert len(reader.outbox.posts("NW-IR-2019-0001")) == len(revisions), (
        "post and revision, or neither"
    )
    assert reader.verify_chain() == []
    reader.record([make_incident(id="NW-IR-2019-0001", revision=len(revisions) + 1)], [])
    reader.close()
