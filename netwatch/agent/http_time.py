"""Asks the observatory's own web server what time it is, where no acknowledgement has told.

A clock that is years off lets every certificate look expired or not yet valid. So chain and
name are checked here, and the dates are not: all that is believed is the time, it moves no
clock, and the first acknowledgement of the collector's outweighs it.
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
from netwatch.model.errors import TransportError
from netwatch.wire._light_imports import httpx

_log = logging.getLogger("netwatch.agent.http_time")
_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python has no name for."""
_WITHIN = 10.0
_FIRST, _USUAL = 30.0, 3600.0
_SURE = 1.0
"""Seconds of doubt with which nobody need be asked: a `Date` tells no more."""


@dataclass(frozen=True, slots=True)
class HttpTimeSource:
    """A web server of our own: its https address, and a file of authorities or none."""

    url: str
    authority: str = ""


async def ask_date(canary: HttpTimeSource) -> datetime:
    """Return the `Date` that a canary answers with, whatever else it answers.

    Raises:
        LinkError: nobody with the right name answers in time, or with no date.
    """
    try:
        context = ssl.create_default_context(cafile=canary.authority or None)
        context.verify_flags |= _NO_CHECK_TIME
        async with (
            asyncio.timeout(_WITHIN),
            httpx.AsyncClient(verify=context, trust_env=False, follow_redirects=False) as client,
        ):
            answer = await client.head(canary.url, headers={"User-Agent": "netwatch"})
            told = parsedate_to_datetime(answer.headers.get("date", ""))
    except TimeoutError as error:
        raise TransportError(
            f"{canary.url} does not tell the time within {_WITHIN:.0f} s"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise TransportError(f"{canary.url} cannot be asked for the time") from error
    except ValueError as error:
        raise TransportError(f"{canary.url} tells no time") from error
    return told if told.tzinfo else told.replace(tzinfo=UTC)


async def poll_time_sources(
    keeper: DisciplinedClock,
    canaries: Sequence[HttpTimeSource],
    *,
    first: float = _FIRST,
    usual: float = _USUAL,
) -> None:
    """Ask for the time now and then, one canary after another, while it is not known well.

    Args:
        keeper: learns it.
        canaries: whom to ask; without any, this waits for ever.
        first: seconds after which the first is asked, if no acknowledgement came by then.
        usual: seconds between two times, more or less.
    """
    random = Random()  # noqa: S311 - spreads the agents, hides nothing
    await asyncio.sleep(random.uniform(first / 2, first))
    while True:
        for canary in canaries:
            if keeper.doubt() <= _SURE:
                break
            since = keeper.steady()
            try:
                keeper.hear_canary(await ask_date(canary), since=since)
            except TransportError as error:
                _log.info("%s", error)
        await asyncio.sleep(random.uniform(usual / 2, usual * 1.5))
