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

LinkFactory = Callable[[Message | None], Transport]
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

    rung: str
    host: str
    connect: LinkFactory


@dataclass(frozen=True, slots=True)
class TransportStatus:
    """What became of a rung when it was tried last.

    Attributes:
        rung: its name.
        failure: a failure word, None where it works.
        reason: one line about it; may name our own hosts, so it stays on this machine.
    """

    rung: str
    failure: str | None
    reason: str = ""


class TransportFailover:
    """Finds a way that works.

    Args:
        ways: in the order of preference of their rungs.
        pace: seconds that waits are multiples of.
        random: draws hosts and waits.

    Attributes:
        noted: told of every outcome that differs from the rung's last; that the best rung
            works to begin with is nothing to tell.
    """

    def __init__(self, ways: Sequence[Endpoint], *, pace: float, random: Random) -> None:
        self._ways = ways
        self._pace = pace
        self._random = random
        self._worked: dict[Endpoint, bool] = {}
        self._failures = 0
        self._hint = asyncio.Event()
        self.rungs = tuple(dict.fromkeys(way.rung for way in ways))
        self.outcomes: dict[str, TransportStatus] = {}
        self.noted: Callable[[TransportStatus], None] = lambda _: None

    def hint(self) -> None:
        """Say that the network seems to be back: no use in waiting any longer."""
        self._hint.set()

    def place(self, way: Endpoint) -> int:
        """Return how far down a way's rung is; 0 is the best."""
        return self.rungs.index(way.rung)

    async def climb(
        self, will: Callable[[str], Message], *, below: int = -1, spread: float = 0.0
    ) -> tuple[Endpoint, Transport]:
        """Return a connected link and its way, however long that takes.

        Args:
            will: makes the last will for a rung.
            below: in the first round, only rungs after this one are tried.
            spread: seconds over which agents come back when the network does.
        """
        while True:
            found = await self.try_rungs(self.rungs[below + 1 :], will)
            if found is not None:
                return found
            below = -1
            self._failures += 1
            await self._wait(spread)

    async def try_rungs(
        self, rungs: Sequence[str], will: Callable[[str], Message]
    ) -> tuple[Endpoint, Transport] | None:
        """Return a connected link on the first of `rungs` that works, None where none does."""
        for rung in rungs:
            for way in self._order(rung):
                link = way.connect(will(rung))
                try:
                    await link.__aenter__()
                except TransportError as error:
                    self.failed(way, error)
                    continue
                return way, link
        return None

    def worked(self, way: Endpoint) -> None:
        """Take down that the collector answered on `way`."""
        self._worked[way] = True
        if self._failures:
            _log.warning("connected by %s after %d failed rounds", way.rung, self._failures)
        self._failures = 0
        self._note(TransportStatus(way.rung, None))

    def failed(self, way: Endpoint, error: TransportError) -> None:
        """Take down that `way` did not work, and say so once."""
        self._worked[way] = False
        self._note(TransportStatus(way.rung, _word(error), str(error)))

    def _note(self, outcome: TransportStatus) -> None:
        before = self.outcomes.get(outcome.rung)
        self.outcomes[outcome.rung] = outcome
        usual = before is None and outcome.failure is None and outcome.rung == self.rungs[0]
        if usual or (before is not None and before.failure == outcome.failure):
            return
        if outcome.failure is not None:
            _log.warning("%s; trying again until it works", outcome.reason)
        self.noted(outcome)

    def _order(self, rung: str) -> list[Endpoint]:
        """Return the ways of a rung, drawn one after another by what became of them."""
        left = [way for way in self._ways if way.rung == rung]
        drawn: list[Endpoint] = []
        while left:
            (way,) = self._random.choices(left, [self._weight(one) for one in left])
            left.remove(way)
            drawn.append(way)
        return drawn

    def _weight(self, way: Endpoint) -> float:
        known = self._worked.get(way)
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
