"""The ladder of ways to the collector: which to try next, and what became of each.

A rung is a kind of way (MQTT over TLS, over a WebSocket, HTTPS …) with one host or several.
They are tried from the top, a rung's hosts in random order with those first that worked last;
when none works, we wait between nothing and a bound that doubles up to five minutes (full
jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from netwatch.model.errors import TransportError
from netwatch.model.failure import classify_failure
from netwatch.protocols import Message, Transport

TransportFactory = Callable[[Message | None], Transport]
"""Makes a link that has not connected yet, with a last will or without."""

_log = logging.getLogger("netwatch.agent.uplink.failover")
_LONGEST_WAIT = 300.0
_LONGEST_WAITS = 30
"""The longest wait in paces, where that is less."""
_BASE = 0.1
"""The first bound in paces: one second at the usual ten."""
_MOST_DOUBLINGS = 16
_WORKED, _UNKNOWN, _FAILED = 8.0, 2.0, 1.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One host on one rung."""

    transport: str
    host: str
    make_transport: TransportFactory


@dataclass(frozen=True, slots=True)
class TransportStatus:
    """What became of a rung when it was tried last.

    Attributes:
        transport: its name.
        failure: a failure word, None where it works.
        reason: one line about it; may name our own hosts, so it stays on this machine.
    """

    transport: str
    failure: str | None
    reason: str = ""


class TransportFailover:
    """Finds a way that works.

    Args:
        endpoints: in the order of preference of their rungs.
        pace: seconds that waits are multiples of.
        random: draws hosts and waits.

    Attributes:
        on_status_change: called when a transport's status changes, except when the preferred
            transport works at the first attempt.
    """

    def __init__(self, endpoints: Sequence[Endpoint], *, pace: float, random: Random) -> None:
        self._endpoints = endpoints
        self._pace = pace
        self._random = random
        self._worked: dict[Endpoint, bool] = {}
        self._failures = 0
        self._hint = asyncio.Event()
        self.transports = tuple(dict.fromkeys(endpoint.transport for endpoint in endpoints))
        self.statuses: dict[str, TransportStatus] = {}
        self.on_status_change: Callable[[TransportStatus], None] = lambda _: None

    def retry_now(self) -> None:
        """Say that the network seems to be back: no use in waiting any longer."""
        self._hint.set()

    def rank(self, endpoint: Endpoint) -> int:
        """Return how far down a way's rung is; 0 is the best."""
        return self.transports.index(endpoint.transport)

    async def connect(
        self, will: Callable[[str], Message], *, below: int = -1, spread: float = 0.0
    ) -> tuple[Endpoint, Transport]:
        """Return a connected link and its way, however long that takes.

        Args:
            will: makes the last will for a rung.
            below: in the first round, only rungs after this one are tried.
            spread: seconds over which agents come back when the network does.
        """
        while True:
            found = await self.try_transports(self.transports[below + 1 :], will)
            if found is not None:
                return found
            below = -1
            self._failures += 1
            await self._wait(spread)

    async def try_transports(
        self, transports: Sequence[str], will: Callable[[str], Message]
    ) -> tuple[Endpoint, Transport] | None:
        """Return a connected link on the first of `transports` that works, None where none does."""
        for transport in transports:
            for endpoint in self._order(transport):
                link = endpoint.make_transport(will(transport))
                try:
                    await link.__aenter__()
                except TransportError as error:
                    self.record_failure(endpoint, error)
                    continue
                return endpoint, link
        return None

    def record_success(self, endpoint: Endpoint) -> None:
        """Take down that the collector answered on `endpoint`."""
        self._worked[endpoint] = True
        if self._failures:
            _log.warning(
                "connected by %s after %d failed rounds", endpoint.transport, self._failures
            )
        self._failures = 0
        self._note(TransportStatus(endpoint.transport, None))

    def record_failure(self, endpoint: Endpoint, error: TransportError) -> None:
        """Take down that `endpoint` did not work, and say so once."""
        self._worked[endpoint] = False
        self._note(TransportStatus(endpoint.transport, _word(error), str(error)))

    def _note(self, status: TransportStatus) -> None:
        before = self.statuses.get(status.transport)
        self.statuses[status.transport] = status
        usual = before is None and status.failure is None and status.transport == self.transports[0]
        if usual or (before is not None and before.failure == status.failure):
            return
        if status.failure is not None:
            _log.warning("%s; trying again until it works", status.reason)
        self.on_status_change(status)

    def _order(self, transport: str) -> list[Endpoint]:
        """Return the ways of a rung, drawn one after another by what became of them."""
        left = [endpoint for endpoint in self._endpoints if endpoint.transport == transport]
        drawn: list[Endpoint] = []
        while left:
            (endpoint,) = self._random.choices(left, [self._weight(one) for one in left])
            left.remove(endpoint)
            drawn.append(endpoint)
        return drawn

    def _weight(self, endpoint: Endpoint) -> float:
        known = self._worked.get(endpoint)
        return _UNKNOWN if known is None else _WORKED if known else _FAILED

    async def _wait(self, spread: float) -> None:
        """Wait for the next round, or until a hint comes, and then for our place among all."""
        longest = min(_LONGEST_WAIT, _LONGEST_WAITS * self._pace)
        bound = min(longest, self._pace * _BASE * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
        self._hint.clear()
        try:
            async with asyncio.timeout(self._random.uniform(0, bound)):
                await self._hint.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._random.uniform(0, spread))


def _word(error: BaseException) -> str:
    """Return the failure word of what lies at the bottom of a broken link."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError | EOFError | TimeoutError):
            return classify_failure(found).word
        found = found.__cause__ or found.__context__
    return "unknown_failure: link"
