"""The collector: hear, keep, acknowledge, and close bins while it can hear."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from netwatch.collector.closer import Closer
from netwatch.collector.inbox import Inbox
from netwatch.collector.intake import Intake
from netwatch.collector.tally import Tally
from netwatch.config import AnalysisConfig
from netwatch.model.errors import LinkError, StoreError
from netwatch.model.measurement import Target
from netwatch.protocols import Clock, Link, Message, SeriesStore
from netwatch.together import first_end
from netwatch.wire.acknowledgement import pack_acknowledgement
from netwatch.wire.session import connect_patiently
from netwatch.wire.signing import ACKNOWLEDGEMENT, Signer
from netwatch.wire.topics import ALL_BATCHES, acknowledgement_topic
from netwatch.worker import Worker

__all__ = ["CollectorParts", "run_collector"]

_WAITING = 1_000
"""Messages between the link and the disk; beyond, the link waits."""
_TOGETHER = 256
"""Messages in one transaction."""
_LONGEST_TICK = 1.0


@dataclass(frozen=True, slots=True)
class CollectorParts:
    """Everything a collector is made of.

    Attributes:
        connect: makes a link to the broker, with the given last will or none.
        inbox: the durable raw log; the caller closes it.
        store: where bins go; used from one thread that is not the caller's.
        targets: the target book, by id.
        clock: the wall clock.
        config: bin width and grace.
        tally: what was counted, for whoever shows it.
        signer: signs acknowledgements; without, they go unsigned.
    """

    connect: Callable[[Message | None], Link]
    inbox: Inbox
    store: SeriesStore
    targets: Mapping[str, Target]
    clock: Clock
    config: AnalysisConfig = field(default_factory=AnalysisConfig)
    tally: Tally = field(default_factory=Tally)
    signer: Signer | None = None


async def run_collector(parts: CollectorParts) -> None:
    """Collect until cancelled. A dead broker or a full disk is waited out.

    An interval is closed `grace` after its end, and not before we have been listening for
    `grace`: after our own absence, agents first send what they kept. While the broker is
    away nothing is closed, since our failure is no outage.
    """
    with Worker("collector") as worker:
        collector = _Collector(parts, worker)
        while True:
            pace = min(parts.config.grace.total_seconds(), _LONGEST_TICK)
            link = await connect_patiently(
                lambda: parts.connect(None),
                pace=pace,
                random=Random(),  # noqa: S311 - jitter
            )
            try:
                await collector.hold(link)
            except LinkError as error:
                parts.tally.complain("link_lost", str(error))
            await asyncio.sleep(pace / 10)


class _Collector:
    """The collector's three tasks around one link."""

    def __init__(self, parts: CollectorParts, worker: Worker) -> None:
        self._parts = parts
        self._worker = worker
        self._intake = Intake(parts.inbox, clock=parts.clock, tally=parts.tally)
        self._closer: Closer | None = None

    async def hold(self, link: Link) -> None:
        """Use a link until it breaks.

        Raises:
            LinkError: it broke.
        """
        arrived: asyncio.Queue[Message] = asyncio.Queue(_WAITING)
        try:
            closer = await self._open_closer()
            await link.subscribe(ALL_BATCHES)
            await first_end(
                _listen(link, arrived), self._keep(link, arrived, closer), self._close(closer)
            )
        finally:
            await link.__aexit__(None, None, None)

    async def _open_closer(self) -> Closer:
        """Read from the store how far we have come, as soon as it lets us."""
        while self._closer is None:
            try:
                self._closer = await self._worker.do(
                    Closer,
                    self._parts.inbox,
                    self._parts.store,
                    targets=self._parts.targets,
                    width=self._parts.config.bin,
                    tally=self._parts.tally,
                )
            except StoreError as error:
                self._parts.tally.complain("store", str(error))
                await asyncio.sleep(_LONGEST_TICK)
        return self._closer

    async def _keep(self, link: Link, arrived: asyncio.Queue[Message], closer: Closer) -> None:
        """Keep what arrives, as much at once as is there, then acknowledge it."""
        while True:
            messages = [await arrived.get()]
            while len(messages) < _TOGETHER and not arrived.empty():
                messages.append(arrived.get_nowait())
            try:
                answers = await self._worker.do(self._intake.take, messages, closer)
            except StoreError as error:
                # Not acknowledged: the agents keep it and send it again.
                self._parts.tally.complain("inbox", f"nothing can be kept: {error}")
                continue
            for answer in answers:
                message = pack_acknowledgement(answer)
                if self._parts.signer is not None:
                    message = self._parts.signer.sign(message, ACKNOWLEDGEMENT)
                await link.publish(acknowledgement_topic(answer.agent), message)

    async def _close(self, closer: Closer) -> None:
        """Close bins as their time comes."""
        grace = self._parts.config.grace
        listening = self._parts.clock()
        tick = min(max(closer.width.total_seconds() / 10, 0.02), _LONGEST_TICK)
        while True:
            await asyncio.sleep(tick)
            bound = self._parts.clock() - grace
            if bound < listening:
                continue
            try:
                await self._worker.do(closer.close, bound)
                await self._worker.do(closer.recount)
            except StoreError as error:
                self._parts.tally.complain("store", str(error))


async def _listen(link: Link, arrived: asyncio.Queue[Message]) -> None:
    """Bring messages from the link to the queue; retained ones are old and never batches."""
    async for message in link.messages():
        if not message.retained:
            await arrived.put(message)
