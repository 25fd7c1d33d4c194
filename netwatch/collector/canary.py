"""Canaries: pages of the observatory that prove that a measurement was made.

Each agent asks for a page of its own, whose name changes every hour. What the page answers, and
whether it is closed, follows from a secret of the observatory, so nobody knows it who has not
asked. A wrong page is a lie; a missing one is not, since a real cut takes the canary too, and an
error is not one either: a proxy in front of the page has errors of its own. The page stores nothing
about who asks.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from netwatch.model.canary import CANARY_GROUP, canary_name
from netwatch.model.measurement import Measurement, Target
from netwatch.model.time import floor_time
from netwatch.wire.signing import Signer

OPEN_STATUS, CLOSED_STATUS = 200, 503
_OPEN = {OPEN_STATUS, 206}
"""Status of an open and of a closed page; a closed one is a failure like any other. A proxy may
answer the range that an agent asks for, which is the whole page, as 206."""
_CLOSED_SHARE = 0.25
"""Share of hours in which an agent's page is closed, so that nobody can claim that all is up."""
_MIN_BYTES, _LENGTHS = 32, 960
"""Shortest page, and how many lengths there are: a guess is right once in 960."""
_CLOCK_ERROR = timedelta(minutes=10)
"""Difference of two clocks around the full hour that is no lie."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class CanaryPage:
    """What a page answers: its status, and how many bytes its body has."""

    status: int
    size: int


@dataclass(frozen=True, slots=True)
class CanaryCheck:
    """How many answers of canaries were right and wrong."""

    right: int = 0
    wrong: int = 0


def canary_secret(signer: Signer) -> bytes:
    """Return the secret of an observatory's canaries, which only its private key yields."""
    return hmac.digest(signer.private_bytes(), b"netwatch canary", "sha256")


def canary_page(secret: bytes, name: str, at: datetime) -> CanaryPage:
    """Return what the page of this name answers in the hour of `at`."""
    hour = floor_time(at, _HOUR)
    digest = hmac.digest(secret, f"{name}|{hour:%Y-%m-%dT%H}".encode(), sha256)
    status = CLOSED_STATUS if digest[0] < 256 * _CLOSED_SHARE else OPEN_STATUS
    return CanaryPage(status, _MIN_BYTES + int.from_bytes(digest[1:5]) % _LENGTHS)


def check_canaries(
    secret: bytes, agent: str, rows: Iterable[tuple[Target, Measurement]]
) -> CanaryCheck:
    """Return how many of one agent's measurements of canaries were right and wrong.

    Only an open page over TLS, or from this machine, can be wrong: others may have come from a
    portal or a proxy.
    """
    right = wrong = 0
    for target, row in rows:
        seen = _open_page(target, row)
        if seen is not None:
            is_right = seen in _pages(secret, agent, row.time)
            right += is_right
            wrong += not is_right
    return CanaryCheck(right, wrong)


def without_our_own_fault(
    checks: Mapping[str, CanaryCheck], weights: Mapping[str, float]
) -> dict[str, CanaryCheck]:
    """Return the checks of one interval; nobody was wrong unless most were right, by weight.

    With a wrong clock or another key on our side, all honest agents are wrong together.
    """
    right = sum(weights.get(name, 0.0) for name, one in checks.items() if not one.wrong)
    wrong = sum(weights.get(name, 0.0) for name, one in checks.items() if one.wrong)
    if right > wrong:
        return dict(checks)
    return {name: CanaryCheck(one.right) for name, one in checks.items() if not one.wrong}


def is_canary(target: Target) -> bool:
    """Return whether a target is a canary: it counts for trust and in no series."""
    return target.group == CANARY_GROUP


def _pages(secret: bytes, agent: str, at: datetime) -> set[CanaryPage]:
    """Return the possible answers to a request at `at`, two clocks being a little off."""
    near = {floor_time(at + error, _HOUR) for error in (-_CLOCK_ERROR, _CLOCK_ERROR)}
    return {canary_page(secret, canary_name(agent, one), two) for one in near for two in near}


def _open_page(target: Target, row: Measurement) -> CanaryPage | None:
    """Return the open page that a measurement received, None if nothing that is certain."""
    if not row.observations or row.observations[-1].operation != "http_round_trip":
        return None
    steps = {one.operation for one in row.observations if one.failure is None}
    fields = row.observations[-1].detail.split(",")
    is_certain = "tls_handshake" in steps or target.host in {"127.0.0.1", "::1"}
    if not is_certain or len(fields) < 2 or not all(one.isdecimal() for one in fields[:2]):
        return None
    status, size = map(int, fields[:2])
    return CanaryPage(OPEN_STATUS, size) if status in _OPEN else None
