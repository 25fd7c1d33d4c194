"""Webhook channel: posts as JSON over HTTP."""

import ssl
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Self

import httpx
import msgspec

from netwatch.model.duration import PositiveDuration
from netwatch.model.incident import Post
from netwatch.model.plaintext import refuse_plaintext
from netwatch.plugins import Section, decode_section
from netwatch.protocols import Delivery, Services

_RETRYABLE = frozenset({408, 425, 429})
"""Client errors that may pass (RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4)."""

_LONGEST_RETRY_AFTER = timedelta(hours=1)


class _Options(Section, frozen=True):
    """`[channels.webhook]`: the URL to POST to, and the timeout of a connection and each read."""

    url: str
    timeout: PositiveDuration = PositiveDuration(seconds=10)
    insecure: bool = False


class WebhookChannel:
    """POSTs each post as JSON to `url`, with its key as `Idempotency-Key`.

    A 2xx status is success. 408, 425, 429, 5xx and network failures are retryable, not before
    `Retry-After`. Redirects are not followed, so that posts go only where the operator said.

    `timeout` is in seconds, for connecting and for each read and write.
    """

    name = "webhook"
    idempotent = True

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        self._url = url
        self._timeout = timeout
        # Reading the certificates blocks, so it is done once and outside the loop.
        self._context = ssl.create_default_context()

    @classmethod
    def from_config(cls, section: Mapping[str, object], services: Services) -> Self:  # noqa: ARG003 - it posts by itself
        """See `netwatch.protocols.Plugin`."""
        options = decode_section(_Options, section)
        refuse_plaintext(options.url, key="url", insecure=options.insecure)
        return cls(options.url, timeout=options.timeout.total_seconds())

    async def deliver(self, post: Post) -> Delivery:
        """Send `post`; see the class for which failures are retryable."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": post.key}
        try:
            async with httpx.AsyncClient(verify=self._context, timeout=self._timeout) as client:
                response = await client.post(
                    self._url, content=msgspec.json.encode(post), headers=headers
                )
        except httpx.InvalidURL as error:
            return Delivery(sent=False, reason=f"webhook: {error}")
        except httpx.UnsupportedProtocol:
            return Delivery(sent=False, reason="webhook: the URL is neither http nor https")
        except (httpx.HTTPError, OSError) as error:
            # The text of a network error may contain an address, so only its class is named.
            return Delivery(sent=False, reason=f"webhook: {type(error).__name__}", retryable=True)
        if response.is_success:
            return Delivery(sent=True)
        return Delivery(
            sent=False,
            reason=f"webhook: status {response.status_code}",
            retryable=response.status_code in _RETRYABLE or response.is_server_error,
            retry_after=_retry_after(response.headers),
        )


def _retry_after(headers: httpx.Headers) -> timedelta | None:
    """Return the delay of `Retry-After` (RFC 9110 10.2.3), an hour at most, None if absent.

    A date is read relative to the response's `Date`, so that a wrong local clock is harmless.
    """
    value = headers.get("Retry-After", "")
    try:
        if value.isdecimal():
            delay = timedelta(seconds=int(value))
        else:
            delay = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(delay, timedelta(0)), _LONGEST_RETRY_AFTER)
