"""Whether a running agent holds still, and by whose wish: the host's or the observatory's."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from time import monotonic

from netwatch.agent.consent import Consent
from netwatch.agent.spool.downsample import EVENT_PREFIX
from netwatch.agent.target_list import TargetList
from netwatch.aio.tasks import run_until_first_exits
from netwatch.model.errors import ConfigError
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement
from netwatch.protocols import Clock

_log = logging.getLogger("netwatch.agent.pause")
_LOOK = 1.0
"""Seconds between two looks at the files."""


class PauseReason(StrEnum):
    """Who wants nothing measured right now."""

    NOBODY = ""
    CONSENT = "consent"
    HOST = "host"
    OBSERVATORY = "observatory"


class PauseWatch:
    """Tells a running agent whether to hold still, looking at the files once a second.

    Args:
        consent: what the person at the machine has said.
        clock: the wall clock.
        needed: whether anything is probed that needs consent.
        listed: the last good target list, which may ask for a pause.
    """

    def __init__(
        self,
        consent: Consent,
        *,
        clock: Clock,
        needed: bool,
        listed: Callable[[], TargetList | None] = lambda: None,
    ) -> None:
        self._consent, self._clock, self._needed, self._listed = consent, clock, needed, listed
        self._looked = float("-inf")
        self.holder = PauseReason.NOBODY

    def __call__(self) -> bool:
        """Return whether there is a pause, or no consent where it is needed."""
        if monotonic() - self._looked >= _LOOK:
            self._looked = monotonic()
            self.holder = self._look(self._clock())
        return self.holder is not PauseReason.NOBODY

    def withdrawn(self) -> bool:
        """Return whether there is no consent where it is needed: then nothing goes out at all."""
        return self() and self.holder is PauseReason.CONSENT

    def _look(self, now: datetime) -> PauseReason:
        """Return who holds us; a file that cannot be read is no consent."""
        try:
            if self._needed and self._consent.granted_at() is None:
                return PauseReason.CONSENT
            if self._consent.paused_until(now) is not None:
                return PauseReason.HOST
        except ConfigError as error:
            if self.holder is not PauseReason.CONSENT:
                _log.error("%s; nothing is probed", error)
            return PauseReason.CONSENT
        listed = self._listed()
        if listed is not None and listed.pause_until is not None and listed.pause_until > now:
            return PauseReason.OBSERVATORY
        return PauseReason.NOBODY


async def run_while_not(held: Callable[[], bool], part: Callable[[], Awaitable[None]]) -> None:
    """Run `part`, which goes on for ever, but never while `held`: then it is stopped.

    It begins anew when it is not held any more, and it ends with an error of its own.
    """
    while True:
        await _until(held, wanted=False)
        await run_until_first_exits(part(), _until(held, wanted=True))


async def _until(held: Callable[[], bool], *, wanted: bool) -> None:
    """Return once `held` says what is wanted; files are looked at, so nobody tells us."""
    while True:
        if held() is wanted:
            return
        await asyncio.sleep(_LOOK)


def pause_event(holder: PauseReason, time: datetime) -> Measurement:
    """Return the note that from `time` on nothing is measured by `holder`'s wish, or all is."""
    held = holder is not PauseReason.NOBODY
    return Measurement(
        target=f"{EVENT_PREFIX}pause",
        probe="agent",
        time=time,
        failure=holder.value if held else None,
        scope=FailureScope.LOCAL.value if held else "",
        host_responded=False,
        seconds=0.0,
    )
