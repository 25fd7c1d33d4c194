"""The ledger in SQL: one SQLite file by default, or any database that SQLAlchemy supports.

Revisions and posts are only added. The hash of a revision covers the hash of the one before
it, so that a changed or missing revision is detected. One process writes; others read meanwhile.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import sqlalchemy as sql
from sqlalchemy.exc import IntegrityError

from netwatch.ledger.amendment_store import SqlAmendments
from netwatch.ledger.database import METADATA, Database
from netwatch.ledger.outbox_store import SqlOutbox, add_posts
from netwatch.model.errors import StoreError
from netwatch.model.incident import Incident, Post
from netwatch.model.time import from_micros, to_micros
from netwatch.protocols import Checkpoint

_REVISIONS = sql.Table(
    "incident_revision",
    METADATA,
    sql.Column("incident", sql.String(64), primary_key=True),
    sql.Column("revision", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("started_at", sql.BigInteger, nullable=False),
    sql.Column("document", sql.LargeBinary, nullable=False),
    sql.Column("previous_hash", sql.String(64), nullable=False),
    sql.Column("hash", sql.String(64), nullable=False),
)
_CHECKPOINTS = sql.Table(
    "checkpoint",
    METADATA,
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("until", sql.BigInteger, nullable=False),
    sql.Column("state", sql.LargeBinary, nullable=False),
)
_INCIDENT_DECODER = msgspec.json.Decoder(Incident)


def ledger_url(path: Path) -> str:
    """Return the URL of a ledger in the SQLite file at `path`."""
    return sql.URL.create("sqlite", database=str(path)).render_as_string()


class SqlLedger:
    """The permanent record: incident revisions, the outbox, and how far analysis has come.

    It is one database, named by an SQLAlchemy URL. Recorded data survives a power cut.

    Attributes:
        outbox: the posts of the ledger and their delivery states.
        amendments: what late measurements would change in closed bins.

    Raises:
        StoreError: from every method, if the database cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self.outbox = SqlOutbox(self._database)
        self.amendments = SqlAmendments(self._database)

    def record(
        self,
        revisions: Sequence[Incident],
        posts: Sequence[Post],
        *,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """Write all of it in one transaction, or none; skip revisions and posts that exist.

        Raises:
            StoreError: also for a revision whose predecessor is neither recorded nor given.
        """
        try:
            self._record(revisions, posts, checkpoint)
        except StoreError as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
            # Another writer added one of the rows meanwhile; the second attempt skips it.
            self._record(revisions, posts, checkpoint)

    def checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint."""
        with self._database.reading() as connection:
            row = connection.execute(sql.select(_CHECKPOINTS)).one_or_none()
        return Checkpoint(from_micros(row.until), row.state) if row else None

    def incidents(self) -> list[Incident]:
        """Return the newest revision of every incident, newest onset first."""
        later = _REVISIONS.alias()
        has_later = sql.exists().where(
            (later.c.incident == _REVISIONS.c.incident) & (later.c.revision > _REVISIONS.c.revision)
        )
        order = _REVISIONS.c.started_at.desc(), _REVISIONS.c.incident.desc()
        return self._read_incidents(
            sql.select(_REVISIONS.c.document).where(~has_later).order_by(*order)
        )

    def revisions(self, incident: str) -> list[Incident]:
        """Return all revisions of one incident, oldest first; empty if it is unknown."""
        query = (
            sql.select(_REVISIONS.c.document)
            .where(_REVISIONS.c.incident == incident)
            .order_by(_REVISIONS.c.revision)
        )
        return self._read_incidents(query)

    def count_revisions(self) -> int:
        """Return the number of revisions of all incidents; it grows with every change."""
        with self._database.reading() as connection:
            query = sql.select(sql.func.count()).select_from(_REVISIONS)
            return int(connection.execute(query).scalar_one())

    def verify_chain(self) -> list[tuple[str, int]]:
        """Return (incident, revision) of every break in the chain of hashes, sorted.

        An empty list means that no revision was changed, or removed from between two others.
        """
        query = sql.select(_REVISIONS).order_by(_REVISIONS.c.incident, _REVISIONS.c.revision)
        broken = []
        with self._database.reading() as connection:
            incident, previous_hash = "", ""
            for row in connection.execute(query):
                previous_hash = previous_hash if row.incident == incident else ""
                # SQLite lets a tampered row hold another type.
                intact = isinstance(row.document, bytes)
                expected = _chain_hash(row.previous_hash, row.document) if intact else None
                if row.previous_hash != previous_hash or row.hash != expected:
                    broken.append((str(row.incident), int(row.revision)))
                incident, previous_hash = row.incident, row.hash
        return broken

    def close(self) -> None:
        """Close all connections."""
        self._database.engine.dispose()

    def _record(
        self,
        revisions: Sequence[Incident],
        posts: Sequence[Post],
        checkpoint: Checkpoint | None,
    ) -> None:
        with self._database.writing() as connection:
            for incident in revisions:
                _add_revision(connection, incident)
            add_posts(connection, posts)
            if checkpoint is not None:
                _replace_checkpoint(connection, checkpoint)

    def _read_incidents(self, query: sql.Select[tuple[bytes]]) -> list[Incident]:
        with self._database.reading() as connection:
            return [_INCIDENT_DECODER.decode(row.document) for row in connection.execute(query)]


def _add_revision(connection: sql.Connection, incident: Incident) -> None:
    """Add `incident` with the hash of its predecessor, unless it is recorded already."""
    query = sql.select(_REVISIONS.c.revision, _REVISIONS.c.hash).where(
        (_REVISIONS.c.incident == incident.id)
        & _REVISIONS.c.revision.in_((incident.revision, incident.revision - 1))
    )
    hashes = {row.revision: row.hash for row in connection.execute(query)}
    if incident.revision in hashes:
        return
    if incident.revision != 1 and incident.revision - 1 not in hashes:
        raise StoreError(
            f"ledger: revision {incident.revision} of {incident.id} without the one before it"
        )
    document = msgspec.json.encode(incident)
    previous_hash = hashes.get(incident.revision - 1, "")
    connection.execute(
        sql.insert(_REVISIONS).values(
            incident=incident.id,
            revision=incident.revision,
            started_at=to_micros(incident.started_at),
            document=document,
            previous_hash=previous_hash,
            hash=_chain_hash(previous_hash, document),
        )
    )


def _replace_checkpoint(connection: sql.Connection, checkpoint: Checkpoint) -> None:
    values = {"until": to_micros(checkpoint.until), "state": checkpoint.state}
    if connection.execute(sql.update(_CHECKPOINTS).values(values)).rowcount == 0:
        connection.execute(sql.insert(_CHECKPOINTS).values(id=1, **values))


def _chain_hash(previous_hash: str, document: bytes) -> str:
    return hashlib.sha256(previous_hash.encode() + b"\n" + document).hexdigest()
