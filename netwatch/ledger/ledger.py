"""The ledger in SQL: one SQLite file by default, any database that SQLAlchemy knows by URL.

What is recorded stays: revisions and posts are only ever added, and each revision carries a
hash over the one before it, so that a changed or missing one shows. The analysis writes,
publisher and faces read in their own processes meanwhile.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from netwatch.model.errors import StoreError
from netwatch.model.incident import Incident, Post
from netwatch.model.time import from_micros, to_micros
from netwatch.protocols import Checkpoint, OutboxEntry, OutboxState

_BUSY_SECONDS = 30
_UNDECIDED = (OutboxState.READY, OutboxState.SENDING, OutboxState.UNKNOWN)
_TABLES = sql.MetaData()
_REVISIONS = sql.Table(
    "incident_revision",
    _TABLES,
    sql.Column("incident", sql.String(64), primary_key=True),
    sql.Column("revision", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("started_at", sql.BigInteger, nullable=False),
    sql.Column("document", sql.LargeBinary, nullable=False),
    sql.Column("previous_hash", sql.String(64), nullable=False),
    sql.Column("hash", sql.String(64), nullable=False),
)
_POSTS = sql.Table(
    "post",
    _TABLES,
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("key", sql.String(64), nullable=False, unique=True),
    sql.Column("incident", sql.String(64), nullable=False, index=True),
    sql.Column("channel", sql.String(64), nullable=False),
    sql.Column("language", sql.String(16), nullable=False),
    sql.Column("document", sql.LargeBinary, nullable=False),
    sql.Column("state", sql.String(16), nullable=False, index=True),
    sql.Column("attempts", sql.Integer, nullable=False),
    sql.Column("next_at", sql.BigInteger, nullable=False),
    sql.Column("changed_at", sql.BigInteger, nullable=False),
    sql.Column("reason", sql.String(500), nullable=False),
)
_CHECKPOINTS = sql.Table(
    "checkpoint",
    _TABLES,
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("until", sql.BigInteger, nullable=False),
    sql.Column("state", sql.LargeBinary, nullable=False),
)
_INCIDENT_DECODER = msgspec.json.Decoder(Incident)
_POST_DECODER = msgspec.json.Decoder(Post)


def ledger_url(path: Path) -> str:
    """Return the URL of a ledger in the SQLite file at `path`."""
    return sql.URL.create("sqlite", database=str(path)).render_as_string()


class SqlLedger:
    """`Ledger` and `Outbox` in one database, named by an SQLAlchemy URL.

    The tables are made where they are missing. An SQLite file runs in WAL mode and its
    commits are synchronous: what `record` returned for survives a power cut.

    Raises:
        StoreError: the database cannot be opened; from every method when it cannot be used.
    """

    def __init__(self, url: str) -> None:
        with _plain_errors("open"):
            self._engine = _open_engine(url)
            with self._writing() as connection:
                _TABLES.create_all(connection)

    def record(
        self,
        revisions: Sequence[Incident],
        posts: Sequence[Post],
        *,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """Write all of it in one transaction, or none.

        A revision or post that is there already is left as it is: nothing is ever changed.

        Raises:
            StoreError: also for a revision whose predecessor is neither there nor given.
        """
        with _plain_errors("write"):
            try:
                self._record(revisions, posts, checkpoint)
            except IntegrityError:
                # Another writer added one of the rows in between; now it is seen and left.
                self._record(revisions, posts, checkpoint)

    def checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint."""
        with _plain_errors("read"), self._engine.begin() as connection:
            row = connection.execute(sql.select(_CHECKPOINTS)).one_or_none()
        return Checkpoint(from_micros(row.until), row.state) if row else None

    def incidents(self) -> list[Incident]:
        """Return the newest revision of every incident, newest onset first."""
        newest = (
            sql.select(_REVISIONS.c.incident, sql.func.max(_REVISIONS.c.revision).label("revision"))
            .group_by(_REVISIONS.c.incident)
            .subquery()
        )
        query = (
            sql.select(_REVISIONS.c.document)
            .join(
                newest,
                (_REVISIONS.c.incident == newest.c.incident)
                & (_REVISIONS.c.revision == newest.c.revision),
            )
            .order_by(_REVISIONS.c.started_at.desc(), _REVISIONS.c.incident.desc())
        )
        return self._read_incidents(query)

    def revisions(self, incident: str) -> list[Incident]:
        """Return all revisions of one incident, oldest first; empty if it is unknown."""
        query = (
            sql.select(_REVISIONS.c.document)
            .where(_REVISIONS.c.incident == incident)
            .order_by(_REVISIONS.c.revision)
        )
        return self._read_incidents(query)

    def verify_chain(self) -> list[tuple[str, int]]:
        """Return (incident, revision) of every break in the chain of hashes, sorted.

        An empty list means that no recorded revision was changed, or lost from the middle.
        """
        query = sql.select(_REVISIONS).order_by(_REVISIONS.c.incident, _REVISIONS.c.revision)
        broken = []
        with _plain_errors("read"), self._engine.begin() as connection:
            previous, expected = "", ""
            for row in connection.execute(query):
                expected = expected if row.incident == previous else ""
                # SQLite lets a tampered row hold another type.
                intact = isinstance(row.document, bytes)
                right = _chain_hash(row.previous_hash, row.document) if intact else None
                if row.previous_hash != expected or row.hash != right:
                    broken.append((str(row.incident), int(row.revision)))
                previous, expected = row.incident, row.hash
        return broken

    def due(self, now: datetime, *, limit: int = 100) -> list[OutboxEntry]:
        """Return posts that are `ready` with `next_at <= now`, in the order they were written.

        A post waits for earlier ones of its incident, channel and language, so that updates
        stay in order; it does not wait for posts that are `failed` or `needs_review`.
        """
        earlier = _POSTS.alias()
        waits = sql.exists().where(
            (earlier.c.incident == _POSTS.c.incident)
            & (earlier.c.channel == _POSTS.c.channel)
            & (earlier.c.language == _POSTS.c.language)
            & (earlier.c.number < _POSTS.c.number)
            & earlier.c.state.in_(_UNDECIDED)
        )
        ready = (_POSTS.c.state == OutboxState.READY) & (_POSTS.c.next_at <= to_micros(now))
        return self._read_posts(sql.select(_POSTS).where(ready & ~waits).limit(limit))

    def in_state(self, state: OutboxState) -> list[OutboxEntry]:
        """Return every post in `state`, in the order they were written."""
        return self._read_posts(sql.select(_POSTS).where(_POSTS.c.state == state))

    def posts(self, incident: str) -> list[OutboxEntry]:
        """Return every post about `incident`, in the order they were written."""
        return self._read_posts(sql.select(_POSTS).where(_POSTS.c.incident == incident))

    def claim(self, key: str, *, at: datetime) -> bool:
        """Take a `ready` post to `sending`, counting the attempt; False if it was not `ready`."""
        change = (
            sql.update(_POSTS)
            .where((_POSTS.c.key == key) & (_POSTS.c.state == OutboxState.READY))
            .values(
                state=OutboxState.SENDING,
                attempts=_POSTS.c.attempts + 1,
                changed_at=to_micros(at),
            )
        )
        with _plain_errors("write"), self._writing() as connection:
            return connection.execute(change).rowcount == 1

    def mark(
        self,
        key: str,
        state: OutboxState,
        *,
        at: datetime,
        reason: str = "",
        next_at: datetime | None = None,
    ) -> None:
        """Set the state of a post.

        A post that is `sent` stays so. `next_at` is when a `ready` one is tried, `at` if None.
        """
        change = (
            sql.update(_POSTS)
            .where((_POSTS.c.key == key) & (_POSTS.c.state != OutboxState.SENT))
            .values(
                state=state,
                reason=reason[:500],
                next_at=to_micros(next_at or at),
                changed_at=to_micros(at),
            )
        )
        with _plain_errors("write"), self._writing() as connection:
            connection.execute(change)

    def close(self) -> None:
        """Let go of connections."""
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[sql.Connection]:
        """Open a transaction that holds the write lock from its start."""
        fresh = self._engine.connect().execution_options(immediate=True)
        with fresh as connection, connection.begin():
            yield connection

    def _record(
        self,
        revisions: Sequence[Incident],
        posts: Sequence[Post],
        checkpoint: Checkpoint | None,
    ) -> None:
        with self._writing() as connection:
            for incident in revisions:
                _add_revision(connection, incident)
            _add_posts(connection, posts)
            if checkpoint is not None:
                _replace_checkpoint(connection, checkpoint)

    def _read_incidents(self, query: sql.Select[tuple[bytes]]) -> list[Incident]:
        with _plain_errors("read"), self._engine.begin() as connection:
            return [_INCIDENT_DECODER.decode(row.document) for row in connection.execute(query)]

    def _read_posts(self, query: sql.Select[tuple[object, ...]]) -> list[OutboxEntry]:
        with _plain_errors("read"), self._engine.begin() as connection:
            rows = connection.execute(query.order_by(_POSTS.c.number)).mappings().all()
        return [_outbox_entry({str(name): row[name] for name in row}) for row in rows]


@contextmanager
def _plain_errors(verb: str) -> Iterator[None]:
    """Turn whatever the database raises into one line."""
    try:
        yield
    except (SQLAlchemyError, msgspec.MsgspecError, ImportError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        line = " ".join(str(cause).split())[:300]
        raise StoreError(f"ledger: cannot {verb}: {line}") from error


def _open_engine(url: str) -> sql.Engine:
    """Return an engine for `url`; for an SQLite file with its folder, WAL and real locks."""
    parsed = sql.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sql.create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sql.create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sql.PoolProxiedConnection, _record: object) -> None:
    """Leave transactions to `_begin_sqlite`, and set the durable, concurrent mode."""
    connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3's own attribute
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode")
    if cursor.fetchone() != ("wal",):
        # Only the first opener changes the file; doing it again would need the whole file.
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(connection: sql.Connection) -> None:
    """Begin as a writer where asked, so that two writers queue instead of failing midway."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _add_revision(connection: sql.Connection, incident: Incident) -> None:
    """Add `incident` with the hash of its predecessor, unless it is there already."""
    query = sql.select(_REVISIONS.c.revision, _REVISIONS.c.hash).where(
        (_REVISIONS.c.incident == incident.id)
        & _REVISIONS.c.revision.in_((incident.revision, incident.revision - 1))
    )
    known = {row.revision: row.hash for row in connection.execute(query)}
    if incident.revision in known:
        return
    if incident.revision != 1 and incident.revision - 1 not in known:
        raise StoreError(
            f"ledger: revision {incident.revision} of {incident.id} without the one before it"
        )
    document = msgspec.json.encode(incident)
    previous = known.get(incident.revision - 1, "")
    connection.execute(
        sql.insert(_REVISIONS).values(
            incident=incident.id,
            revision=incident.revision,
            started_at=to_micros(incident.started_at),
            document=document,
            previous_hash=previous,
            hash=_chain_hash(previous, document),
        )
    )


def _add_posts(connection: sql.Connection, posts: Sequence[Post]) -> None:
    """Add those of `posts` whose key is not there yet, ready to go."""
    for post in posts:
        query = sql.select(_POSTS.c.key).where(_POSTS.c.key == post.key)
        if connection.execute(query).first() is not None:
            continue
        written = to_micros(post.created_at)
        connection.execute(
            sql.insert(_POSTS).values(
                key=post.key,
                incident=post.incident,
                channel=post.channel,
                language=post.language,
                document=msgspec.json.encode(post),
                state=OutboxState.READY,
                attempts=0,
                next_at=written,
                changed_at=written,
                reason="",
            )
        )


def _replace_checkpoint(connection: sql.Connection, checkpoint: Checkpoint) -> None:
    """Put `checkpoint` in the place of the one before."""
    values = {"until": to_micros(checkpoint.until), "state": checkpoint.state}
    changed = connection.execute(sql.update(_CHECKPOINTS).values(values)).rowcount
    if changed == 0:
        connection.execute(sql.insert(_CHECKPOINTS).values(id=1, **values))


def _outbox_entry(row: Mapping[str, object]) -> OutboxEntry:
    """Return the outbox entry that a row of the table holds."""
    values = msgspec.convert(row, _PostRow)
    return OutboxEntry(
        post=_POST_DECODER.decode(values.document),
        state=values.state,
        attempts=values.attempts,
        next_at=from_micros(values.next_at),
        changed_at=from_micros(values.changed_at),
        reason=values.reason,
    )


class _PostRow(msgspec.Struct):
    """A row of the post table, typed."""

    document: bytes
    state: OutboxState
    attempts: int
    next_at: int
    changed_at: int
    reason: str


def _chain_hash(previous: str, document: bytes) -> str:
    """Return the SHA-256 over the predecessor's hash and this document, in hexadecimal."""
    return hashlib.sha256(previous.encode() + b"\n" + document).hexdigest()
