"""Replies of an InfluxDB server, with the error of any version in one line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from netwatch.model.errors import InputError
from netwatch.model.foreign_bytes import decode_foreign

_SHOWN_ERROR = 300
"""Characters of a server's error in messages."""
_DROPPED = re.compile(r"dropped=(\d+)")
_REJECTIONS = {400, 413, 422}
"""Statuses of a write that no retry can help."""


class RetryableError(Exception):
    """Raised when the same request may succeed later."""

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class _ErrorBody(msgspec.Struct):
    """An error as JSON: `error` in 1.x, `message` in 2.x and 3."""

    error: str = ""
    message: str = ""


_ERROR_DECODER = msgspec.json.Decoder(_ErrorBody)


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply to one request.

    Attributes:
        status: HTTP status.
        text: its error in one line, empty for none.
        body: its content.
        headers: its headers, by names in lower case.
    """

    status: int
    text: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, status: int, body: bytes, headers: Mapping[str, str]) -> "Reply":
        """Return a reply with the error text of any version."""
        lower = {name.lower(): value for name, value in headers.items()}
        if 200 <= status < 300:
            return cls(status, body=body, headers=lower)
        try:
            error = decode_foreign(body, _ERROR_DECODER.decode, what="error")
            text = error.error or error.message
        except InputError:
            text = ""
        text = " ".join((text or body.decode("utf-8", "replace")).split())
        if len(text) > _SHOWN_ERROR:
            # Version 1 appends how many points it dropped.
            text = f"{text[: _SHOWN_ERROR - 60]} … {text[-57:]}"
        return cls(status, text, body, lower)

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300

    @property
    def rejected(self) -> bool:
        """Whether the server will not accept these bytes, however often it is asked."""
        return self.status in _REJECTIONS

    @property
    def dropped(self) -> int:
        """Points of the request that the server dropped; 0 if it does not say."""
        found = _DROPPED.search(self.text)
        return int(found[1]) if found else 0

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait; the form with a date is ignored."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdigit() else None

    def raise_if_busy(self) -> None:
        """Raise RetryableError if the server is away or busy."""
        if self.status == 429 or self.status >= 500:
            text = f"status {self.status}: {self.text}"
            raise RetryableError(text, retry_after=self.retry_after)
