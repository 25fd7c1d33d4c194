"""Shares of a server's connections by door, so that no door's clients can take another's place.

A connection counts at the door of its request, or at `Door.HEAD` while it has none. When a door is
full, a newcomer takes the place of the connection that has kept the server waiting longest, at
first of a peer with more than its fair share. Peers are known for the life of a connection only.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from netwatch.wire.enrollment import (
    ENROLLMENT_PATH,
    ERASURE_PATH,
    KEY_CHANGE_PATH,
    TARGET_LIST_PATH,
)
from netwatch.wire.https import BATCHES_PATH, PRESENCE_PATH, RATE_ADVICE_PATH


class Door(StrEnum):
    """What a connection is used for."""

    HEAD = "head"
    PAGE = "page"
    BATCH = "batch"
    CONTROL = "control"


SHARES: Mapping[Door, int] = {Door.HEAD: 384, Door.PAGE: 320, Door.BATCH: 192, Door.CONTROL: 64}
"""Connections at once. A head is there for one round trip, and hundreds of readers come at once; a
batch is there for one commit; a page from the cache needs far fewer at 1,000 requests a second."""
_FAIR_PART = 8
"""One peer, such as many volunteers behind one NAT, has an eighth of a door for sure."""
_IPV6_HOST_BITS = 64
"""A subscriber has at least a /64."""
_DOORS = {
    **dict.fromkeys((BATCHES_PATH, PRESENCE_PATH, RATE_ADVICE_PATH, TARGET_LIST_PATH), Door.BATCH),
    **dict.fromkeys((ENROLLMENT_PATH, KEY_CHANGE_PATH, ERASURE_PATH), Door.CONTROL),
}


def door_of(path: str) -> Door:
    """Return the door of a request's path."""
    return _DOORS.get(path, Door.PAGE)


def peer_name(address: str) -> str:
    """Return what counts as one peer: an IPv4 address or an IPv6 /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(int(parsed) >> _IPV6_HOST_BITS)
    return address


@dataclass(eq=False, slots=True)
class Place:
    """One connection's place.

    Attributes:
        peer: who holds it; see `peer_name`.
        is_waiting: returns whether the peer must act next: send, or read a response.
        close: closes the connection at once.
        door: where it counts, None before it entered.
        is_proven: whether the last message on it was accepted; it gives way after all others.
    """

    peer: str
    is_waiting: Callable[[], bool]
    close: Callable[[], None]
    door: Door | None = None
    is_proven: bool = False


class ConnectionShares:
    """The places at each door. All methods are for one event loop.

    Args:
        shares: places by door.
        on_evict: called for each connection that had to give way.
    """

    def __init__(
        self, shares: Mapping[Door, int] = SHARES, on_evict: Callable[[], None] = lambda: None
    ) -> None:
        self._shares, self._on_evict = shares, on_evict
        # A dictionary keeps the order of entry: the first has been there longest.
        self._places: dict[Door, dict[Place, None]] = {door: {} for door in Door}

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def enter(self, place: Place, door: Door) -> bool:
        """Move to `door`; False if it is full and every connection there waits for the server."""
        inside = self._places[door]
        if place.door is not door and len(inside) >= self._shares[door]:
            victim = self._slowest(door)
            if victim is None:
                return False
            self.leave(victim)
            victim.close()
            self._on_evict()
        self.leave(place)
        inside[place] = None
        place.door = door
        return True

    def leave(self, place: Place) -> None:
        """Give a place back, if it counts at a door."""
        if place.door is not None:
            self._places[place.door].pop(place, None)
            place.door = None

    def _slowest(self, door: Door) -> Place | None:
        held = Counter(place.peer for place in self._places[door])
        fair = max(self._shares[door] // _FAIR_PART, 1)
        waiting = [place for place in self._places[door] if place.is_waiting()]
        waiting = [place for place in waiting if not place.is_proven] or waiting
        greedy = (place for place in waiting if held[place.peer] > fair)
        return next(greedy, next(iter(waiting), None))
