"""Webhook: posts as JSON over HTTP, to whatever passes them on."""

import ssl
from datetime import timedelta
from email.utils import parsedate_to_datetime

import httpx

from netwatch.model.incident import Post
from netwatch.protocols import Delivery
from netwatch.publish.channels.payload import post_body

_AGAIN = frozenset({408, 425, 429})
_LONGEST_HINT = timedelta(hours=1)


class WebhookChannel:
    """Sends each post to `url` in a POST with its key as `Idempotency-Key`.

    2xx is sent. 408, 425, 429, 5xx and a failing network are tried again, not sooner than
    `Retry-After` asks. Redirects are not followed: a post goes where the operator said.

    Args:
        url: where to POST.
        timeout: seconds for connecting, and for each read and write.
    """

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        self._url = url
        self._timeout = timeout
        # Reading the certificates blocks, so it is done once and not in the loop.
        self._context = ssl.create_default_context()

    @property
    def name(self) -> str:
        """The name under which the configuration asks for this channel."""
        return "webhook"

    @property
    def idempotent(self) -> bool:
        """Receivers drop a key that they have seen."""
        return True

    async def deliver(self, post: Post) -> Delivery:
        """Send `post` and read the answer's status."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": post.key}
        try:
            async with httpx.AsyncClient(verify=self._context, timeout=self._timeout) as client:
                answer = await client.post(self._url, content=post_body(post), headers=headers)
        except httpx.InvalidURL as error:
            return Delivery(sent=False, reason=f"webhook: {error}")
        except httpx.UnsupportedProtocol:
            return Delivery(sent=False, reason="webhook: the URL is neither http nor https")
        except httpx.HTTPError as error:
            # The text of a network error may carry an address; its class says enough.
            return Delivery(sent=False, reason=f"webhook: {type(error).__name__}", retryable=True)
        if answer.is_success:
            return Delivery(sent=True)
        return Delivery(
            sent=False,
            reason=f"webhook: answered {answer.status_code}",
            retryable=answer.status_code in _AGAIN or answer.is_server_error,
            retry_after=_retry_after(answer.headers),
        )


def _retry_after(headers: httpx.Headers) -> timedelta | None:
    """Return how long `Retry-After` (RFC 9110 10.2.3) asks to wait, an hour at most.

    A date is read against the answer's own, so that a wrong clock here changes nothing.
    """
    text = headers.get("Retry-After", "")
    try:
        if text.isdecimal():
            wait = timedelta(seconds=int(text))
        else:
            wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), _LONGEST_HINT)
