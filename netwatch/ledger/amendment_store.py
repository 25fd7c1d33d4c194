"""Amendments of closed bins, in a table of the ledger."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sql

from netwatch.ledger.database import METADATA, Database
from netwatch.model.amendment import Amendment, AmendmentState
from netwatch.model.entities import Entity
from netwatch.model.series import SeriesKey
from netwatch.model.time import from_micros, to_micros

_AMENDMENTS = sql.Table(
    "amendment",
    METADATA,
    sql.Column("time", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("signal", sql.String(128), primary_key=True),
    sql.Column("entity", sql.String(256), primary_key=True),
    sql.Column("level_then", sql.Float, nullable=False),
    sql.Column("level_now", sql.Float, nullable=False),
    sql.Column("late_share", sql.Float, nullable=False),
    sql.Column("owners", sql.Integer, nullable=False),
    sql.Column("networks", sql.Integer, nullable=False),
    sql.Column("state", sql.String(16), nullable=False, index=True),
    sql.Column("changed_at", sql.BigInteger, nullable=False),
)
_ORDINARY = sql.Table(
    "ordinary",
    METADATA,
    sql.Column("time", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("signal", sql.String(128), primary_key=True),
    sql.Column("entity", sql.String(256), primary_key=True),
    sql.Column("value", sql.Float, nullable=False),
)


class SqlAmendments:
    """The amendments of a ledger.

    Raises:
        StoreError: from every method, if the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, time: datetime, found: Sequence[Amendment], *, at: datetime) -> None:
        """Record what a new count of the bin at `time` found, in place of what is pending there."""
        here = _AMENDMENTS.c.time == to_micros(time)
        is_pending = _AMENDMENTS.c.state == AmendmentState.PENDING
        with self._database.writing() as connection:
            connection.execute(sql.delete(_AMENDMENTS).where(here & is_pending))
            for one in found:
                connection.execute(sql.delete(_AMENDMENTS).where(_is_about(one)))
                connection.execute(sql.insert(_AMENDMENTS).values(_row(one, at)))

    def read(
        self,
        states: Collection[AmendmentState],
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        entity: Entity | None = None,
    ) -> list[Amendment]:
        """Return amendments in `states`, of bins from `start` to `end`, by time."""
        query = sql.select(_AMENDMENTS).where(_AMENDMENTS.c.state.in_(list(states)))
        if start is not None:
            query = query.where(_AMENDMENTS.c.time >= to_micros(start))
        if end is not None:
            query = query.where(_AMENDMENTS.c.time < to_micros(end))
        if entity is not None:
            query = query.where(_AMENDMENTS.c.entity == str(entity))
        query = query.order_by(_AMENDMENTS.c.time)
        with self._database.reading() as connection:
            return [_amendment(row) for row in connection.execute(query)]

    def decide(
        self, amendments: Iterable[Amendment], state: AmendmentState, *, at: datetime
    ) -> None:
        """Set the state of amendments, unless it has changed since they were read."""
        with self._database.writing() as connection:
            for one in amendments:
                unchanged = _is_about(one) & (_AMENDMENTS.c.state == one.state)
                values = {"state": state, "changed_at": to_micros(at)}
                connection.execute(sql.update(_AMENDMENTS).where(unchanged).values(values))

    def forget(self, start: datetime) -> None:
        """Delete what waits, and what is ordinary, of bins from `start` on."""
        since = to_micros(start)
        waits = (_AMENDMENTS.c.time >= since) & (_AMENDMENTS.c.state == AmendmentState.PENDING)
        with self._database.writing() as connection:
            connection.execute(sql.delete(_AMENDMENTS).where(waits))
            connection.execute(sql.delete(_ORDINARY).where(_ORDINARY.c.time >= since))

    def keep_ordinary(self, time: datetime, values: Mapping[SeriesKey, float]) -> None:
        """Record what the levels of the bin at `time` were judged by; a value once kept stays."""
        with self._database.writing() as connection:
            kept = _ordinary(connection, time)
            rows = [
                {
                    "time": to_micros(time),
                    "signal": key.signal,
                    "entity": str(key.entity),
                    "value": value,
                }
                for key, value in values.items()
                if key not in kept
            ]
            if rows:
                connection.execute(sql.insert(_ORDINARY), rows)

    def ordinary(self, time: datetime) -> dict[SeriesKey, float]:
        """Return what the levels of the bin at `time` were judged by, as far as it was kept."""
        with self._database.reading() as connection:
            return _ordinary(connection, time)


def _ordinary(connection: sql.Connection, time: datetime) -> dict[SeriesKey, float]:
    query = sql.select(_ORDINARY).where(_ORDINARY.c.time == to_micros(time))
    rows = connection.execute(query)
    return {SeriesKey(row.signal, Entity.parse(row.entity)): row.value for row in rows}


def _is_about(one: Amendment) -> sql.ColumnElement[bool]:
    key = _AMENDMENTS.c
    return (
        (key.time == to_micros(one.time))
        & (key.signal == one.series.signal)
        & (key.entity == str(one.series.entity))
    )


def _row(one: Amendment, at: datetime) -> dict[str, object]:
    return {
        "time": to_micros(one.time),
        "signal": one.series.signal,
        "entity": str(one.series.entity),
        "level_then": one.then,
        "level_now": one.now,
        "late_share": one.late_share,
        "owners": one.owners,
        "networks": one.networks,
        "state": one.state,
        "changed_at": to_micros(at),
    }


def _amendment(row: sql.Row[tuple[object, ...]]) -> Amendment:
    return Amendment(
        SeriesKey(row.signal, Entity.parse(row.entity)),
        from_micros(row.time),
        then=row.level_then,
        now=row.level_now,
        late_share=row.late_share,
        owners=row.owners,
        networks=row.networks,
        state=AmendmentState(row.state),
    )
