"""HTTP time sources: the observatory's web server, until an acknowledgement gives the time.

With a clock that is years off, every certificate looks expired or not yet valid. So the chain and
the name are verified and the dates are not: only the `Date` header is used, it sets no clock, and
the collector's first acknowledgement overrides it.
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.http_client import open_client
from netwatch.model.errors import TransportError

_log = logging.getLogger("netwatch.agent.http_time")
_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python has no name for."""
_TIMEOUT = 10.0
_FIRST_DELAY, _INTERVAL = 30.0, 3600.0
"""Seconds, more or less, before the first request and between requests."""
_SUFFICIENT = 1.0
"""Seconds of uncertainty below which no request is made: `Date` is no more precise."""


@dataclass(frozen=True, slots=True)
class HttpTimeSource:
    """A web server of the observatory: its https URL and a file of authorities, if any."""

    url: str
    ca_file: str = ""


async def fetch_date(source: HttpTimeSource) -> datetime:
    """Return a source's `Date` header; raises TransportError without a verified, valid one."""
    server = f"time source {source.url}"
    try:
        context = ssl.create_default_context(cafile=source.ca_file or None)
        context.verify_flags |= _NO_CHECK_TIME
        async with open_client(server, within=_TIMEOUT, verify=context) as client:
            response = await client.head(source.url, headers={"User-Agent": "netwatch"})
        date = parsedate_to_datetime(response.headers.get("date", ""))
    except OSError as error:
        raise TransportError(f"{server}: {source.ca_file}: cannot be read") from error
    except ValueError as error:
        raise TransportError(f"{server}: no valid Date header") from error
    return date if date.tzinfo else date.replace(tzinfo=UTC)


async def poll_time_sources(
    clock: DisciplinedClock,
    sources: Sequence[HttpTimeSource],
    *,
    first_delay: float = _FIRST_DELAY,
    interval: float = _INTERVAL,
) -> None:
    """Ask the sources for the time while it is not known well enough.

    The first round comes within `first_delay` seconds, if no acknowledgement gave the time by
    then; later ones about every `interval` seconds.
    """
    random = Random()  # noqa: S311 - spreads the agents, hides nothing
    await asyncio.sleep(random.uniform(first_delay / 2, first_delay))
    while True:
        for source in sources:
            if clock.uncertainty() <= _SUFFICIENT:
                break
            since = clock.monotonic()
            try:
                clock.add_http_date(await fetch_date(source), since=since)
            except TransportError as error:
                _log.info("%s", error)
        await asyncio.sleep(random.uniform(interval / 2, interval * 1.5))
