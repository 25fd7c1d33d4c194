"""Invitations and agents: who may enroll, who has enrolled, who was retired. Stores no address.

The tables are in the batch log's file; several processes may use them.
"""

from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from netwatch.collector.agent_tables import AgentTables
from netwatch.collector.trust_weights import (
    EarnedTrust,
    Reason,
    TrustSettings,
    earned_trust,
    usable_weights,
)
from netwatch.model.errors import InputError
from netwatch.model.time import from_millis, to_millis
from netwatch.model.vantage_trust import OBSERVATORY_OWNER, OPEN_OWNER
from netwatch.wire.enrollment import EnrollmentRequest

_AGENTS = """
SELECT name, key, CASE WHEN retired IS NOT NULL THEN 'retired'
    WHEN since IS NOT NULL THEN 'quarantine'
    WHEN enrolled IS NOT NULL THEN 'enrolled' ELSE 'open' END,
    coalesce(country, ''), coalesce(network, 0), coalesce(region, ''), coalesce(consent, 0),
    coalesce(software, ''), enrolled, coalesce(reason, ''), coalesce(nullif(owner, ''),
    CASE WHEN agent.id IS NULL OR country = '' THEN :open ELSE '@' || name END)
FROM (SELECT id AS name FROM vantage UNION SELECT id FROM agent UNION SELECT id FROM quarantine)
LEFT JOIN agent ON agent.id = name LEFT JOIN quarantine ON quarantine.id = name
LEFT JOIN vantage ON vantage.id = name ORDER BY name
"""
_ENROLL = "INSERT OR REPLACE INTO agent VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)"
_EXPIRED_RETENTION = timedelta(days=30)
"""How long an expired invitation is kept, so that its refusal can name the reason."""
_COUNTED_STATES = {"enrolled", "open"}
_EVERYBODY = TrustSettings()
_KEY_OVERLAP = timedelta(days=1)
"""How long a running agent may use its former key."""


@dataclass(frozen=True, slots=True)
class InvitationScope:
    """What an invitation is valid for; empty and 0 are no restriction.

    `replaces` is the agent, with a lost key, whose name the new one takes. `owner` is the label of
    who answers for the agent; an empty one is the agent itself.
    """

    country: str = ""
    network: int = 0
    replaces: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """Everything that is known of an agent.

    Attributes:
        state: `enrolled`, `open` (never enrolled), `own` (of the observatory), `retired` or
            `quarantine`.
        country, network, region: as enrolled; empty and 0 if it never was.
        consent, software: version of the consent text and of the program at enrollment.
        enrolled: when, None for an open agent.
        reason: why it is quarantined.
        owner: who answers for it; see `netwatch.model.vantage_trust`.
        weight: trust weight, 0 to 1; see `netwatch.collector.trust_weights`.
        why: the reason of the weight; None for an agent that has sent nothing, is retired or in
            quarantine, and for the observatory's own.
        seen: when it was first seen, None if never.
        admitted: when its probation began or will begin.
        days: on how many days it has proved that it measures, 14 at most.
        is_unproved: whether nothing has proved for a week that it measures.
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
    owner: str
    weight: float
    why: Reason | None = None
    seen: datetime | None = None
    admitted: datetime | None = None
    days: int = 0
    is_unproved: bool = False


class Registry(AgentTables):
    """Invitations and agents."""

    def invite(
        self, digest: bytes, scope: InvitationScope, *, now: datetime, length: timedelta
    ) -> datetime:
        """Store an invitation by the digest of its secret; return when it expires."""
        expires = now + length
        with self._database.transaction():
            bound = (to_millis(now - _EXPIRED_RETENTION),)
            self._file.execute("DELETE FROM invitation WHERE expires < ?", bound)
            row = (digest, to_millis(now), to_millis(expires), *astuple(scope))
            self._file.execute("INSERT INTO invitation VALUES (?, ?, ?, ?, ?, ?, NULL, ?)", row)
        return expires

    def enroll(
        self, digest: bytes, request: EnrollmentRequest, *, key: bytes, now: datetime
    ) -> None:
        """Enroll the holder of `key` and use up the invitation.

        A repeated request succeeds again and changes nothing: the first response may be lost,
        or an attacker may replay the request to restore an old key.

        Raises:
            InputError: the request is refused; the text is for the host.
        """
        with self._database.transaction():
            query = "SELECT expires, country, network, replaces, key, owner FROM invitation"
            invitation = self._file.execute(f"{query} WHERE digest = ?", (digest,)).fetchone()
            if invitation is None:
                raise InputError("this token is not known here")
            expires, country, network, replaces, used, owner = invitation
            if used == key and self._is_enrolled(request, key):
                return
            if used is not None:
                raise InputError("this token was used already; ask for a new one")
            if expires <= to_millis(now):
                when = f"{from_millis(expires):%Y-%m-%d %H:%M} UTC"
                raise InputError(f"this token expired on {when}; ask for a new one")
            if country not in {"", request.country} or network not in {0, request.network}:
                place = f"{country or 'any country'}, AS{network}" if network else country
                raise InputError(f"this token is for an agent in {place}")
            self._pin(request, key, replaces)
            row = (request.name, request.country, request.network, request.region)
            owner = owner or self._owner_of(request.name)
            terms = (request.consent, request.software, to_millis(now), owner)
            self._file.execute(_ENROLL, (*row, *terms))
            self._file.execute("DELETE FROM erased WHERE digest = ?", (sha256(key).digest(),))
            self._file.execute("UPDATE invitation SET key = ? WHERE digest = ?", (key, digest))

    def change_key(self, name: str, old: bytes, new: bytes, *, now: datetime) -> None:
        """Replace an agent's key, or raise InputError if `old` is not its key.

        Earlier measurements signed with `old` still count.
        """
        with self._database.transaction():
            pinned = self.key_of(name)
            if pinned == new:
                return
            if pinned != old:
                raise InputError("this is not signed with the key that is known here")
            former = (name, old, to_millis(now + _KEY_OVERLAP))
            self._file.execute("INSERT OR REPLACE INTO former_key VALUES (?, ?, ?)", former)
            self._file.execute("UPDATE vantage SET key = ? WHERE id = ?", (new, name))

    def has_invitation(self, digest: bytes) -> bool:
        """Return whether an invitation has this digest, used and expired ones included."""
        return bool(self._database.fetch("SELECT 1 FROM invitation WHERE digest = ?", (digest,)))

    def retire(self, name: str, *, now: datetime) -> None:
        """Refuse further batches of an agent; raises InputError if no agent has that name."""
        with self._database.transaction():
            if self.key_of(name) is None:
                raise InputError(f"{name!r}: no agent has that name; see: netwatch agents list")
            row = (name, to_millis(now))
            self._file.execute(
                "INSERT OR IGNORE INTO agent VALUES (?, '', 0, '', 0, '', ?, NULL, '')", row
            )
            self._file.execute("UPDATE agent SET retired = ? WHERE id = ?", (to_millis(now), name))

    def agents(self, now: datetime, trust: TrustSettings = _EVERYBODY) -> list[Agent]:
        """Return every agent with a pinned key, by name, with its present trust weight."""
        own_keys = trust.own_keys()
        seen = self.first_seen(own_keys, at=now)
        found = earned_trust(seen, now, open_weight=trust.open_weight)
        least: dict[str, tuple[float, EarnedTrust]] = {}
        for key, one in usable_weights(found).items():
            weight, _ = least.get(key[0], (2.0, None))
            if one.weight < weight:
                least[key[0]] = one.weight, found[key]
        agents = []
        rows = self._database.fetch(_AGENTS, {"open": OPEN_OWNER})
        for name, key, listed, *scope, millis, reason, label in rows:
            is_own = key in own_keys
            state, owner = ("own", OBSERVATORY_OWNER) if is_own else (listed, label)
            enrolled = None if millis is None else from_millis(millis)
            values = (name, state, *scope, enrolled, reason, owner, float(is_own))
            agent = Agent(*values)
            if state in _COUNTED_STATES and name in least:
                weight, earned = least[name]
                agent = replace(
                    agent, weight=weight, why=earned.reason, seen=earned.at,
                    admitted=earned.admitted, days=earned.days,
                    is_unproved=earned.is_unproved(now),
                )  # fmt: skip
            agents.append(agent)
        return agents

    def _owner_of(self, name: str) -> str:
        """Return the label of an enrolled agent's owner: a new key does not change it."""
        row = self._file.execute("SELECT owner FROM agent WHERE id = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    def _is_enrolled(self, request: EnrollmentRequest, key: bytes) -> bool:
        query = (
            "SELECT 1 FROM agent JOIN vantage USING (id) WHERE id = ? AND key = ?"
            " AND country = ? AND network = ? AND retired IS NULL"
        )
        return self._exists(query, request.name, key, request.country, request.network)

    def _pin(self, request: EnrollmentRequest, key: bytes, replaces: str) -> None:
        if self.key_of(request.name) not in {None, key} and replaces != request.name:
            raise InputError(
                f"the name {request.name!r} is taken; choose another `id` under [vantage], or,"
                " if it is yours and the key is lost, ask for a token that replaces it"
            )
        if replaces not in {"", request.name}:
            raise InputError(f"this token is for the agent {replaces!r}")
        self._file.execute("INSERT OR REPLACE INTO vantage VALUES (?, ?)", (request.name, key))
