"""Sends sealed batches and forgets each only when the collector says that it is durable.

The newest batch goes first, so that the present is known at once; the backlog follows,
oldest first, in at most a quarter of the window. A broker's receipt proves nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from time import monotonic

import msgspec

from netwatch.agent.spool import Sealed, Spool
from netwatch.model.errors import InputError, LinkError
from netwatch.protocols import Link, Message
from netwatch.together import first_end
from netwatch.wire.acknowledgement import Acknowledgement, unpack_acknowledgement
from netwatch.wire.session import connect_patiently
from netwatch.wire.signing import ACKNOWLEDGEMENT, open_signed
from netwatch.wire.topics import (
    FLEET_TARGETS,
    acknowledgement_topic,
    batch_topic,
    presence_topic,
)
from netwatch.worker import Worker

__all__ = ["LinkFactory", "Uplink"]

LinkFactory = Callable[[Message | None], Link]
"""Makes a link that has not connected yet, with a last will or without."""

_log = logging.getLogger("netwatch.agent.uplink")
_WINDOW = 8
"""Batches under way without an acknowledgement."""
_BACKLOG = _WINDOW // 4
_LONGEST_RESEND = 900.0


@dataclass(slots=True)
class _Sent:
    """A batch under way: when to send it again, and how long to wait after that."""

    resend_at: float
    wait: float


@dataclass(slots=True)
class _Flight:
    """What is under way. Batches that waited in vain leave the window until their time comes."""

    patience: float
    sent: dict[int, _Sent] = field(default_factory=dict)

    def note(self, sequence: int, now: float) -> None:
        """Take down that `sequence` was sent; each time doubles the wait for its answer."""
        before = self.sent.get(sequence)
        wait = min(before.wait * 2, _LONGEST_RESEND) if before else self.patience
        self.sent[sequence] = _Sent(now + wait, wait)

    def forget(self, low: int, high: int) -> None:
        """Drop what was acknowledged."""
        for sequence in [one for one in self.sent if low <= one <= high]:
            del self.sent[sequence]

    def waiting(self, now: float) -> set[int]:
        """Return the sequences whose answer is still awaited."""
        return {sequence for sequence, sent in self.sent.items() if sent.resend_at > now}


class Uplink:
    """Keeps one link to the collector, through broken connections, until it is cancelled.

    Args:
        agent: the agent's id.
        connect: makes a link.
        spool, worker: the batches, and the thread that may touch them.
        pace: seconds between seals; every patience is a multiple of it.

    Attributes:
        told: the collector's clock in milliseconds since 1970 as it said last, and the
            monotonic time at which we heard it.
        offer_list: takes a target list as it came; set it before `run`. Blocks.
    """

    def __init__(
        self,
        agent: str,
        connect: LinkFactory,
        *,
        spool: Spool,
        worker: Worker,
        pace: float,
    ) -> None:
        self._agent = agent
        self._connect = connect
        self._spool = spool
        self._worker = worker
        self._pace = pace
        self._random = Random()  # noqa: S311 - spreads reconnections, hides nothing
        self._flight = _Flight(patience=6 * pace)
        self._nudged = asyncio.Event()
        self.told: tuple[int, float] | None = None
        self.offer_list: Callable[[bytes], None] | None = None

    def nudge(self) -> None:
        """Say that there is something new to send."""
        self._nudged.set()

    async def run(self) -> None:
        """Connect, send, and connect again; returns only by cancellation."""
        while True:
            link = await connect_patiently(
                lambda: self._connect(self._presence("lost")), pace=self._pace, random=self._random
            )
            try:
                await self._hold(link)
            except LinkError as error:
                _log.warning("uplink lost: %s", error)
            await asyncio.sleep(self._random.uniform(0, self._pace))

    async def _hold(self, link: Link) -> None:
        """Use a link until it breaks.

        Raises:
            LinkError: it broke.
        """
        try:
            await link.subscribe(acknowledgement_topic(self._agent))
            if self.offer_list is not None:
                await link.subscribe(FLEET_TARGETS)
            birth = self._presence("up")
            await link.publish(birth.topic, birth.payload, retain=True)
            _log.info("uplink of %s is up", self._agent)
            # What was under way on the old link may be lost; the new one starts afresh.
            self._flight.sent.clear()
            await first_end(self._listen(link), self._send(link))
        except asyncio.CancelledError:
            await self._part(link)
            raise
        finally:
            await link.__aexit__(None, None, None)

    async def _part(self, link: Link) -> None:
        """Say that we stop on purpose, if that is quickly said."""
        farewell = self._presence("stop")
        with suppress(LinkError, TimeoutError):
            async with asyncio.timeout(1):
                await link.publish(farewell.topic, farewell.payload, retain=True)

    async def _send(self, link: Link) -> None:
        """Send what waits, as the window allows."""
        while True:
            self._nudged.clear()
            async for batch in self._choose():
                await link.publish(batch_topic(self._agent), batch.payload)
                self._flight.note(batch.sequence, monotonic())
            try:
                await asyncio.wait_for(self._nudged.wait(), self._pace)
            except TimeoutError:
                continue

    async def _choose(self) -> AsyncIterator[Sealed]:
        """Yield the batches to send now: the newest, and a quarter of backlog."""
        waiting = self._flight.waiting(monotonic())
        room = _WINDOW - len(waiting)
        if room <= 0:
            return
        newest = await self._worker.do(self._spool.newest, 1, without=waiting)
        for batch in newest:
            yield batch
            waiting.add(batch.sequence)
        share = min(room - len(newest), _BACKLOG)
        for batch in await self._worker.do(self._spool.oldest, share, without=waiting):
            yield batch

    async def _listen(self, link: Link) -> None:
        """Take acknowledgements, and target lists."""
        async for message in link.messages():
            if message.topic == FLEET_TARGETS and self.offer_list is not None:
                await self._worker.do(self.offer_list, message.payload)
                continue
            answer = await self._open(message)
            if answer is None:
                continue
            self.told = answer.milliseconds, monotonic()
            for low, high in answer.kept:
                self._flight.forget(low, high)
            await self._worker.do(self._spool.acknowledge, answer.kept)
            for sequence, reason in answer.refused:
                _log.warning("the collector refused batch %d: %s", sequence, reason)
                self._flight.forget(sequence, sequence)
            if answer.refused:
                await self._worker.do(self._spool.refuse, answer.refused)
            self.nudge()

    async def _open(self, message: Message) -> Acknowledgement | None:
        """Return an acknowledgement that is the collector's and for us.

        The first key that signs one is the collector's for good: a broker that forges them
        would have us forget what nobody has.
        """
        try:
            plain, key = open_signed(message.payload, ACKNOWLEDGEMENT)
            answer = unpack_acknowledgement(plain)
        except InputError as error:
            _log.warning("%s", error)
            return None
        if answer.agent != self._agent:
            return None
        if not await self._worker.do(self._spool.trust, "collector", key):
            _log.warning("an acknowledgement is not signed with the collector's key")
            return None
        return answer

    def _presence(self, state: str) -> Message:
        """Return what is said about us while in `state`."""
        payload = msgspec.json.encode({"state": state})
        return Message(presence_topic(self._agent), payload, retained=True)
