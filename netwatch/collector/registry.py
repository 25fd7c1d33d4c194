"""Whom the operator has invited, who has enrolled, who was retired: no address of anybody.

The tables stand beside the batches; several processes may use them, each with its own object.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Self

from netwatch.collector.agent_keys import PINS, read_first_seen
from netwatch.collector.trust_weights import trust_weights
from netwatch.model.errors import InputError
from netwatch.model.time import EPOCH, to_millis
from netwatch.storage.sqlite_file import Schema, SqliteFile
from netwatch.wire.enrollment import EnrollmentRequest

_AGENTS = """
SELECT name, coalesce(country, ''), coalesce(network, 0), coalesce(region, ''),
    coalesce(consent, 0), coalesce(software, ''), enrolled, retired, since, coalesce(reason, '')
FROM (SELECT id AS name FROM vantage UNION SELECT id FROM agent UNION SELECT id FROM quarantine)
LEFT JOIN agent ON agent.id = name LEFT JOIN quarantine ON quarantine.id = name ORDER BY name
"""
_ENROLL = "INSERT OR REPLACE INTO agent VALUES (?, ?, ?, ?, ?, ?, ?, NULL)"
_KEEP_USED = timedelta(days=30)
_COUNTED = {"enrolled", "open"}
_OVERLAP = timedelta(days=1)
"""A running agent may go on with its former key for so long."""


@dataclass(frozen=True, slots=True)
class InvitationScope:
    """What an invitation is good for; empty and 0 leave it open.

    Attributes:
        country, network: where the agent must say that it is.
        replaces: the agent whose name and place the new one takes, its key being lost.
    """

    country: str = ""
    network: int = 0
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """What is known of an agent, and that is all.

    Attributes:
        name: what it calls itself.
        state: `enrolled`, `open` (never enrolled), `retired` or `quarantine`.
        country, network, region: as enrolled; empty and 0 where it never was.
        consent, software: version agreed to, and version of the program, when it enrolled.
        enrolled: since when, None for an open one.
        reason: why it is under quarantine.
        weight: how far it is believed, 0 to 1; see `netwatch.collector.trust_weights`.
    """

    name: str
    state: str
    country: str
    network: int
    region: str
    consent: int
    software: str
    enrolled: datetime | None
    reason: str
    weight: float = 1.0


class Registry:
    """Invitations and agents. Every method may raise StoreError; then nothing was changed."""

    def __init__(self, path: Path) -> None:
        self._database = SqliteFile(path, Schema(PINS), durable=True)
        self._file = self._database.connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def invite(
        self, digest: bytes, bounds: InvitationScope, *, now: datetime, length: timedelta
    ) -> datetime:
        """Take note of an invitation by its secret's digest; return when it expires."""
        expires = now + length
        row = (digest, _number(now), _number(expires))
        with self._database.transaction():
            old = (_number(now - _KEEP_USED),)
            self._file.execute("DELETE FROM invitation WHERE expires < ?", old)
            self._file.execute(
                "INSERT INTO invitation VALUES (?, ?, ?, ?, ?, ?, NULL)",
                (*row, bounds.country, bounds.network, bounds.replaces),
            )
        return expires

    def enroll(
        self, digest: bytes, request: EnrollmentRequest, *, key: bytes, now: datetime
    ) -> None:
        """Enroll who holds `key` by an invitation, which is used up by it.

        Asking the same again is answered the same and changes nothing: the first answer may be
        lost, or somebody on the way wrote the question down to bring an old key back.

        Raises:
            InputError: it is refused; says why, in words for the host.
        """
        with self._database.transaction():
            query = "SELECT expires, country, network, replaces, key FROM invitation"
            found = self._file.execute(f"{query} WHERE digest = ?", (digest,)).fetchone()
            if found is None:
                raise InputError("this token is not known here")
            expires, country, network, replaces, used = found
            if used == key and self._stands(request, key):
                return
            if used is not None:
                raise InputError("this token was used already; ask for a new one")
            if expires <= _number(now):
                when = f"{EPOCH + timedelta(milliseconds=expires):%Y-%m-%d %H:%M} UTC"
                raise InputError(f"this token expired on {when}; ask for a new one")
            if country not in {"", request.country} or network not in {0, request.network}:
                place = f"{country or 'any country'}, AS{network}" if network else country
                raise InputError(f"this token is for an agent in {place}")
            self._pin(request, key, replaces)
            row = (request.name, request.country, request.network, request.region)
            self._file.execute(_ENROLL, (*row, request.consent, request.software, _number(now)))
            self._file.execute("DELETE FROM erased WHERE digest = ?", (sha256(key).digest(),))
            self._file.execute("UPDATE invitation SET key = ? WHERE digest = ?", (key, digest))

    def change_key(self, name: str, old: bytes, new: bytes, *, now: datetime) -> None:
        """Let `new` speak for an agent from now on; what `old` signed of the past still counts.

        Raises:
            InputError: `old` is not the agent's key.
        """
        with self._database.transaction():
            query = "SELECT key FROM vantage WHERE id = ?"
            found = self._file.execute(query, (name,)).fetchone()
            if found is not None and found[0] == new:
                return
            if found is None or found[0] != old:
                raise InputError("this is not signed with the key that is known here")
            former = (name, old, _number(now + _OVERLAP))
            self._file.execute("INSERT OR REPLACE INTO former_key VALUES (?, ?, ?)", former)
            self._file.execute("UPDATE vantage SET key = ? WHERE id = ?", (new, name))

    def key_of(self, name: str) -> bytes | None:
        """Return the key that speaks for an agent, None where there is none."""
        with self._database.translate_errors():
            query = "SELECT key FROM vantage WHERE id = ?"
            found = self._file.execute(query, (name,)).fetchone()
        return None if found is None else bytes(found[0])

    def retire(self, name: str, *, now: datetime) -> None:
        """Take nothing more from an agent; what it sent still counts.

        Raises:
            InputError: nobody has that name.
        """
        with self._database.transaction():
            if self._file.execute("SELECT 1 FROM vantage WHERE id = ?", (name,)).fetchone() is None:
                raise InputError(f"{name!r}: no agent has that name; see: netwatch agents list")
            blank = (name, _number(now))
            self._file.execute(
                "INSERT OR IGNORE INTO agent VALUES (?, '', 0, '', 0, '', ?, NULL)", blank
            )
            self._file.execute("UPDATE agent SET retired = ? WHERE id = ?", (_number(now), name))

    def agents(self, now: datetime, *, open_weight: float = 1.0) -> list[Agent]:
        """Return every agent that has a key here, by name, and how far each is believed now."""
        with self._database.translate_errors():
            found = self._file.execute(_AGENTS).fetchall()
            arrivals = read_first_seen(self._file)
        weights: dict[str, float] = {}
        for (name, _), weight in trust_weights(arrivals, now, open_weight=open_weight).items():
            weights[name] = min(weight, weights.get(name, 1.0))
        return [
            replace(agent, weight=weights.get(agent.name, 1.0) * (agent.state in _COUNTED))
            for agent in map(_to_agent, found)
        ]

    def _stands(self, request: EnrollmentRequest, key: bytes) -> bool:
        """Tell whether an enrollment is what stands in the tables."""
        query = (
            "SELECT 1 FROM agent JOIN vantage USING (id) WHERE id = ? AND key = ?"
            " AND country = ? AND network = ? AND retired IS NULL"
        )
        place = (request.name, key, request.country, request.network)
        return self._file.execute(query, place).fetchone() is not None

    def _pin(self, request: EnrollmentRequest, key: bytes, replaces: str) -> None:
        """Let `key` speak under the name that is asked for, inside a transaction."""
        name = (request.name,)
        known = self._file.execute("SELECT key FROM vantage WHERE id = ?", name).fetchone()
        if known is not None and known[0] != key and replaces != request.name:
            raise InputError(
                f"the name {request.name!r} is taken; choose another `id` under [vantage], or,"
                " if it is yours and the key is lost, ask for a token that replaces it"
            )
        if replaces not in {"", request.name}:
            raise InputError(f"this token is for the agent {replaces!r}")
        self._file.execute("INSERT OR REPLACE INTO vantage VALUES (?, ?)", (request.name, key))


def _to_agent(row: tuple[str, str, int, str, int, str, int | None, int | None, int, str]) -> Agent:
    """Return a row as an agent."""
    name, country, network, region, consent, software, enrolled, retired, since, reason = row
    state = "open" if enrolled is None else "enrolled"
    if since is not None:
        state = "quarantine"
    if retired is not None:
        state = "retired"
    begun = None if enrolled is None else EPOCH + timedelta(milliseconds=enrolled)
    return Agent(name, state, country, network, region, consent, software, begun, reason)


def _number(time: datetime) -> int:
    """Return whole milliseconds since 1970."""
    return to_millis(time)
