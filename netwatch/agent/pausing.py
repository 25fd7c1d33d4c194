"""Whether a running agent holds still, and by whose wish: the host's or the observatory's."""

import logging
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from time import monotonic

from netwatch.agent.consent import Consent
from netwatch.agent.target_list import TargetList
from netwatch.agent.thinning import NOTE
from netwatch.model.errors import ConfigError
from netwatch.model.failure import Scope
from netwatch.model.measurement import Measurement
from netwatch.protocols import Clock

__all__ = ["Holder", "PauseWatch", "pause_note"]

_log = logging.getLogger("netwatch.agent.pausing")
_LOOK = 1.0
"""Seconds between two looks at the files."""


class Holder(StrEnum):
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
        self.holder = Holder.NOBODY

    def __call__(self) -> bool:
        """Return whether there is a pause, or no consent where it is needed."""
        if monotonic() - self._looked >= _LOOK:
            self._looked = monotonic()
            self.holder = self._look(self._clock())
        return self.holder is not Holder.NOBODY

    def _look(self, now: datetime) -> Holder:
        """Return who holds us; a file that cannot be read is no consent."""
        try:
            if self._needed and self._consent.granted_at() is None:
                return Holder.CONSENT
            if self._consent.paused_until(now) is not None:
                return Holder.HOST
        except ConfigError as error:
            if self.holder is not Holder.CONSENT:
                _log.error("%s; nothing is probed", error)
            return Holder.CONSENT
        listed = self._listed()
        if listed is not None and listed.pause_until is not None and listed.pause_until > now:
            return Holder.OBSERVATORY
        return Holder.NOBODY


def pause_note(holder: Holder, time: datetime) -> Measurement:
    """Return the note that from `time` on nothing is measured by `holder`'s wish, or all is."""
    held = holder is not Holder.NOBODY
    return Measurement(
        target=f"{NOTE}pause",
        probe="agent",
        time=time,
        failure=holder.value if held else None,
        scope=Scope.LOCAL.value if held else "",
        alive=False,
        seconds=0.0,
    )
