"""Failover between transports: which endpoint is tried next, and the status of each transport.

A transport is a kind of connection (MQTT over TLS, over a WebSocket, HTTPS …) with one or several
endpoints. Transports are tried in order of preference, the endpoints of one in random order that
favours those that worked last. After a round without success follows an exponential back-off.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from netwatch.aio.backoff import backoff_delay
from netwatch.model.errors import TransportError
from netwatch.model.failure import classify_failure
from netwatch.protocols import Message, Transport

TransportFactory = Callable[[Message | None], Transport]
"""Makes a transport that has not connected yet, with a will or without."""

_log = logging.getLogger("netwatch.agent.uplink.failover")
_BACKOFF_BASE = 0.1
"""Base of the back-off in paces: one second at the usual ten."""
_WORKED, _UNTRIED, _FAILED = 8.0, 2.0, 1.0
"""Weights of an endpoint in the random order, by its last result."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One host of one transport."""

    transport: str
    host: str
    make_transport: TransportFactory


@dataclass(frozen=True, slots=True)
class TransportStatus:
    """The last result of a transport.

    Attributes:
        failure: a failure word, None if it works.
        reason: one line about the failure. It may name the agent's own hosts: never sent.
    """

    transport: str
    failure: str | None
    reason: str = ""


class TransportFailover:
    """Finds an endpoint that works, by preference of their transports.

    `pace` is the agent's flush interval in seconds, to which waits are proportional.

    Attributes:
        transports: names of the transports, preferred ones first.
        statuses: the last status of each transport that was tried.
        on_status_change: called when a transport's status changes, except when the preferred
            transport works at the first attempt.
    """

    def __init__(self, endpoints: Sequence[Endpoint], *, pace: float, random: Random) -> None:
        self._endpoints = endpoints
        self._pace = pace
        self._random = random
        self._weights: dict[Endpoint, float] = {}
        self._failed_rounds = self._next_rank = 0
        self._wake = asyncio.Event()
        self.transports = tuple(dict.fromkeys(one.transport for one in endpoints))
        self.statuses: dict[str, TransportStatus] = {}
        self.on_status_change: Callable[[TransportStatus], None] = lambda _: None

    def retry_now(self) -> None:
        """End the current back-off: the network seems to be back."""
        self._wake.set()

    def rank(self, endpoint: Endpoint) -> int:
        """Return the rank of an endpoint's transport; 0 is preferred."""
        return self.transports.index(endpoint.transport)

    async def connect(
        self, will: Callable[[str], Message], *, spread: float = 0.0
    ) -> tuple[Endpoint, Transport]:
        """Return a connected transport and its endpoint, however long that takes.

        The first round after `demote` tries only the transports after that one. `spread` is the
        seconds over which agents reconnect when the network is back.
        """
        while True:
            transports, self._next_rank = self.transports[self._next_rank :], 0
            connected = await self.try_transports(transports, will)
            if connected is not None:
                return connected
            self._failed_rounds += 1
            await self._back_off(spread)

    async def try_transports(
        self, transports: Sequence[str], will: Callable[[str], Message]
    ) -> tuple[Endpoint, Transport] | None:
        """Return the first of `transports` that connects and its endpoint, None if none does."""
        for name in transports:
            for endpoint in self._shuffled(name):
                transport = endpoint.make_transport(will(name))
                try:
                    await transport.__aenter__()
                except TransportError as error:
                    self.record_failure(endpoint, error)
                    continue
                return endpoint, transport
        return None

    def record_success(self, endpoint: Endpoint) -> None:
        """Record that the collector acknowledged something over `endpoint`."""
        self._weights[endpoint] = _WORKED
        if self._failed_rounds:
            _log.warning(
                "connected by %s after %d failed rounds", endpoint.transport, self._failed_rounds
            )
        self._failed_rounds = 0
        self._set_status(TransportStatus(endpoint.transport, None))

    def record_failure(self, endpoint: Endpoint, error: TransportError) -> None:
        """Record that `endpoint` failed; a repeated failure is not logged again."""
        self._weights[endpoint] = _FAILED
        self._set_status(TransportStatus(endpoint.transport, _failure_word(error), str(error)))

    def demote(self, endpoint: Endpoint, error: TransportError) -> None:
        """Record that `endpoint` connected and yet failed, so that less preferred ones are next."""
        self.record_failure(endpoint, error)
        self._next_rank = self.rank(endpoint) + 1

    def _set_status(self, status: TransportStatus) -> None:
        before = self.statuses.get(status.transport)
        self.statuses[status.transport] = status
        is_preferred = status.transport == self.transports[0]
        if before is None and status.failure is None and is_preferred:
            return
        if before is not None and before.failure == status.failure:
            return
        if status.failure is not None:
            _log.warning("%s; retrying until it works", status.reason)
        self.on_status_change(status)

    def _shuffled(self, transport: str) -> list[Endpoint]:
        """Return the endpoints of a transport, drawn one after another by their weights."""
        alike = [one for one in self._endpoints if one.transport == transport]
        # The smallest of exponential variates belongs to each with a chance as its rate.
        return sorted(
            alike, key=lambda one: self._random.expovariate(self._weights.get(one, _UNTRIED))
        )

    async def _back_off(self, spread: float) -> None:
        """Wait for the next round; after `retry_now` wait only for a random part of `spread`."""
        delay = backoff_delay(
            self._failed_rounds,
            base=_BACKOFF_BASE * self._pace,
            pace=self._pace,
            random=self._random,
        )
        self._wake.clear()
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._random.uniform(0, spread))


def _failure_word(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError | EOFError | TimeoutError):
            return classify_failure(cause).word
        cause = cause.__cause__ or cause.__context__
    return "unknown_failure: transport"
