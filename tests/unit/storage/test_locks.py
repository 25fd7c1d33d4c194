"""No look at a database drops the locks of this process's other connections to it."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from netwatch.storage.installation import Installation
from netwatch.storage.origin import find_damage
from netwatch.storage.sqlite_file import Schema, SqliteFile

SCHEMA = Schema("CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY)", version=1)
ELSEWHERE = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("INSERT INTO row VALUES (NULL)")
file.close()
"""


def test_the_log_stays_while_a_connection_uses_it(tmp_path: Path) -> None:
    """The last one that closes a database deletes its log; a dropped lock makes it believe so."""
    path = tmp_path / "one.sqlite"
    database = Installation(tmp_path, ["one.sqlite"]).open(
        "one.sqlite", lambda path: SqliteFile(path, SCHEMA, durable=True)
    )
    with database.transaction() as connection:
        connection.execute("INSERT INTO row VALUES (NULL)")
    Installation(tmp_path, ["one.sqlite"]).examine("one.sqlite")
    SqliteFile(path, SCHEMA, durable=True).close()
    assert find_damage(path) == ""
    log = path.with_name("one.sqlite-wal")
    before = log.stat().st_ino
    subprocess.run([sys.executable, "-c", ELSEWHERE, path], check=True)
    assert log.stat().st_ino == before
    assert database.read_number("SELECT count(*) FROM row") == 2
    with database.transaction() as connection:
        connection.execute("INSERT INTO row VALUES (NULL)")
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM row").fetchone() == (3,)
    database.close()
