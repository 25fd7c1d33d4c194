"""One HTTP connection: uvicorn's, with time limits and a place at a door."""

import asyncio
from collections.abc import Callable

from h11 import LocalProtocolError
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from netwatch.app.connection_shares import ConnectionShares, Door, Place, door_of, peer_name
from netwatch.app.request_checks import Refusal, refuse, request_refusal

HEAD_SECONDS = 10.0
"""Time for the head of a request, or between two requests; a head is one packet."""
REQUEST_SECONDS = 60.0
"""Time from a request's head until its response is read: a large page at 30 kbit/s."""
_FIRST_ERROR = 400
FULL = Refusal(503, "full", "The server is busy. Try again in a few seconds.")


class HttpConnection(H11Protocol):
    """A connection that ends when its peer is too slow, or when it must give way to others.

    `count` is called with the reason of each refusal: `slow`, `malformed`, `full`, and those of
    `netwatch.app.request_checks`.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        shares: ConnectionShares,
        count: Callable[[str], None],
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._shares, self._count = shares, count
        self._place: Place | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._site, self.app = self.app, self._answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn
        """Take a place among those without a request."""
        # The protocol is paused until the peer has read everything, which shows slow readers.
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        peer = peer_name(self.client[0] if self.client else "")
        self._place = Place(peer, self._waits_for_peer, transport.abort)
        self._enter_idle(Door.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._stop_timer()
        if self._place is not None:
            self._shares.leave(self._place)
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Return to the door without request, once the peer has read the whole response."""
        super().resume_writing()
        self._await_next_head()

    def on_response_complete(self) -> None:
        """Wait for the next request; uvicorn begins it here if it was pipelined."""
        super().on_response_complete()
        self._await_next_head()

    def send_400_response(self, msg: str) -> None:
        """Respond to what is not HTTP; after a response has begun, only close."""
        self._count("malformed")
        try:
            super().send_400_response(msg)
        except LocalProtocolError:
            self.transport.abort()

    async def _answer(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Enter the door of the request, and let the application respond if it is sound."""
        assert scope["type"] == "http", "WebSockets and lifespan are off"
        refusal = request_refusal(scope)
        if refusal is None and not self._enter(door_of(scope["path"]), REQUEST_SECONDS):
            refusal = FULL
        if refusal is None:
            await self._site(scope, receive, self._noting_success(scope, send))
            return
        self._count(refusal.reason)
        await refuse(refusal, send)

    def _noting_success(self, scope: HTTPScope, send: ASGISendCallable) -> ASGISendCallable:
        """Return `send`, which remembers whether this was a message that was accepted."""
        is_message = scope["method"] == "POST" and door_of(scope["path"]) is Door.BATCH

        async def noting(event: ASGISendEvent) -> None:
            if event["type"] == "http.response.start" and self._place is not None:
                self._place.is_proven = is_message and event["status"] < _FIRST_ERROR
            await send(event)

        return noting

    def _enter(self, door: Door, seconds: float) -> bool:
        if self._place is None or self.transport.is_closing():
            return True
        if not self._shares.enter(self._place, door):
            return False
        self._stop_timer()
        self._deadline = self.loop.call_later(seconds, self._end_slow)
        return True

    def _await_next_head(self) -> None:
        if self._has_responded() and not self.transport.get_write_buffer_size():
            # An agent's idle connection is not among those of strangers.
            is_proven = self._place is not None and self._place.is_proven
            self._enter_idle(Door.BATCH if is_proven else Door.HEAD)

    def _enter_idle(self, door: Door) -> None:
        if not self._enter(door, HEAD_SECONDS):
            self.transport.abort()

    def _waits_for_peer(self) -> bool:
        unread = self.transport.get_write_buffer_size() > 0
        return self._has_responded() or self.cycle.more_body or unread

    def _has_responded(self) -> bool:
        """Return whether there is no request, or its response is complete."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _stop_timer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _end_slow(self) -> None:
        self._count("slow")
        self.transport.abort()
