"""Pauses a running agent at the wish of its host or the observatory."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from time import monotonic

from netwatch.agent.consent import Consent
from netwatch.agent.event_rows import agent_event
from netwatch.agent.target_list import TargetList
from netwatch.aio.tasks import run_until_first_exits
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Measurement
from netwatch.protocols import Clock

_log = logging.getLogger("netwatch.agent.pause")
_POLL_INTERVAL = 1.0
"""Seconds between two reads of the files."""


class PauseReason(StrEnum):
    """Why nothing is measured at present; without consent nothing is sent either."""

    NONE = ""
    CONSENT = "consent"
    HOST = "host"
    OBSERVATORY = "observatory"


class PauseWatch:
    """Returns why a running agent must pause; reads the files once a second.

    `target_list` returns the last good target list, which may ask for a pause.
    """

    def __init__(
        self,
        consent: Consent,
        *,
        clock: Clock,
        consent_needed: bool,
        target_list: Callable[[], TargetList | None] = lambda: None,
    ) -> None:
        self._consent, self._clock = consent, clock
        self._consent_needed, self._target_list = consent_needed, target_list
        self._read_at = float("-inf")
        self._reason = PauseReason.NONE

    def __call__(self) -> PauseReason:
        """Return the reason, `PauseReason.NONE` if there is no pause."""
        if monotonic() - self._read_at >= _POLL_INTERVAL:
            self._read_at = monotonic()
            self._reason = self._read(self._clock())
        return self._reason

    def _read(self, now: datetime) -> PauseReason:
        """Read the files; an unreadable file counts as missing consent."""
        try:
            if self._consent_needed and self._consent.granted_at() is None:
                return PauseReason.CONSENT
            if self._consent.paused_until(now) is not None:
                return PauseReason.HOST
        except ConfigError as error:
            if self._reason is not PauseReason.CONSENT:
                _log.error("%s; nothing is probed", error)
            return PauseReason.CONSENT
        target_list = self._target_list()
        pause_until = None if target_list is None else target_list.pause_until
        if pause_until is not None and pause_until > now:
            return PauseReason.OBSERVATORY
        return PauseReason.NONE


async def run_with_consent(
    pause_reason: Callable[[], PauseReason], run: Callable[[], Awaitable[None]]
) -> None:
    """Run `run`, which never returns, and cancel it while consent is missing.

    An exception of `run` ends this too.
    """
    while True:
        await _wait_for_consent(pause_reason, missing=False)
        await run_until_first_exits(run(), _wait_for_consent(pause_reason, missing=True))


async def _wait_for_consent(pause_reason: Callable[[], PauseReason], *, missing: bool) -> None:
    # Files are polled, so there is no event to wait for.
    while (pause_reason() is PauseReason.CONSENT) is not missing:  # noqa: ASYNC110 - no event
        await asyncio.sleep(_POLL_INTERVAL)


def pause_event(reason: PauseReason, time: datetime) -> Measurement:
    """Return the event that a pause begins for `reason`, or ends with `PauseReason.NONE`."""
    return agent_event("pause", time, reason.value or None)
