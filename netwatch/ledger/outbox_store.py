"""Posts and their delivery states, in a table of the ledger."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sql

from netwatch.ledger.database import METADATA, Database
from netwatch.model.incident import Post
from netwatch.model.steady_clock import TOLERANCE
from netwatch.model.time import from_micros, to_micros
from netwatch.protocols import OutboxEntry, OutboxState

_UNDECIDED = (OutboxState.READY, OutboxState.SENDING, OutboxState.UNKNOWN)
"""States in which a post delays later ones of its thread."""
_MAX_REASON = 500
"""Characters kept of the reason of a failure: the size of its column."""
_POSTS = sql.Table(
    "post",
    METADATA,
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
    sql.Column("reason", sql.String(_MAX_REASON), nullable=False),
)
_POST_DECODER = msgspec.json.Decoder(Post)


class _PostRow(msgspec.Struct):
    document: bytes
    state: OutboxState
    attempts: int
    next_at: int
    changed_at: int
    reason: str


class SqlOutbox:
    """`Outbox` in the ledger's database.

    Raises:
        StoreError: from every method, if the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, now: datetime, *, limit: int = 100) -> list[OutboxEntry]:
        """Return the posts to send at `now`, in the order they were written."""
        earlier = _POSTS.alias()
        waits = sql.exists().where(
            (earlier.c.incident == _POSTS.c.incident)
            & (earlier.c.channel == _POSTS.c.channel)
            & (earlier.c.language == _POSTS.c.language)
            & (earlier.c.number < _POSTS.c.number)
            & earlier.c.state.in_(_UNDECIDED)
        )
        # A post that was last changed in the future waits for a time that a wrong clock gave.
        future = to_micros(now + TOLERANCE)
        is_due = (_POSTS.c.next_at <= to_micros(now)) | (_POSTS.c.changed_at > future)
        ready = (_POSTS.c.state == OutboxState.READY) & is_due
        return self._read(ready & ~waits, limit)

    def in_state(self, state: OutboxState) -> list[OutboxEntry]:
        """Return every post in `state`, in the order they were written."""
        return self._read(_POSTS.c.state == state)

    def posts(self, incident: str) -> list[OutboxEntry]:
        """Return every post about `incident`, in the order they were written."""
        return self._read(_POSTS.c.incident == incident)

    def claim(self, key: str, *, at: datetime) -> bool:
        """Move a `ready` post to `sending` and count the attempt; False if it was not `ready`."""
        return self._update(
            (_POSTS.c.key == key) & (_POSTS.c.state == OutboxState.READY),
            state=OutboxState.SENDING,
            attempts=_POSTS.c.attempts + 1,
            changed_at=to_micros(at),
        )

    def mark(
        self,
        key: str,
        state: OutboxState,
        *,
        at: datetime,
        reason: str = "",
        next_at: datetime | None = None,
    ) -> None:
        """Set the state of a post. A `sent` post stays `sent`."""
        self._update(
            (_POSTS.c.key == key) & (_POSTS.c.state != OutboxState.SENT),
            state=state,
            reason=reason[:_MAX_REASON],
            next_at=to_micros(next_at or at),
            changed_at=to_micros(at),
        )

    def _update(self, condition: sql.ColumnElement[bool], **values: object) -> bool:
        """Change the post that meets a condition; return whether one did."""
        with self._database.writing() as connection:
            change = sql.update(_POSTS).where(condition).values(values)
            return connection.execute(change).rowcount == 1

    def _read(
        self, condition: sql.ColumnElement[bool], limit: int | None = None
    ) -> list[OutboxEntry]:
        query = sql.select(_POSTS).where(condition).order_by(_POSTS.c.number).limit(limit)
        with self._database.reading() as connection:
            return [_outbox_entry(row) for row in connection.execute(query).mappings()]


def add_posts(connection: sql.Connection, posts: Sequence[Post]) -> None:
    """Add `posts` in state `ready`; a post whose key exists is skipped."""
    for post in posts:
        query = sql.select(_POSTS.c.key).where(_POSTS.c.key == post.key)
        if connection.execute(query).first() is not None:
            continue
        created_at = to_micros(post.created_at)
        connection.execute(
            sql.insert(_POSTS).values(
                key=post.key,
                incident=post.incident,
                channel=post.channel,
                language=post.language,
                document=msgspec.json.encode(post),
                state=OutboxState.READY,
                attempts=0,
                next_at=created_at,
                changed_at=created_at,
                reason="",
            )
        )


def _outbox_entry(row: sql.RowMapping) -> OutboxEntry:
    values = msgspec.convert(row, _PostRow)
    return OutboxEntry(
        post=_POST_DECODER.decode(values.document),
        state=values.state,
        attempts=values.attempts,
        next_at=from_micros(values.next_at),
        changed_at=from_micros(values.changed_at),
        reason=values.reason,
    )
