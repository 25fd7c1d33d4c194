"""Refuses addresses that would send in plain text to another machine.

On the way, passwords could be read, and which machines measure.
"""

from urllib.parse import SplitResult, urlsplit

from netwatch.model.addresses import is_loopback
from netwatch.model.errors import ConfigError

_ENCRYPTED = {"http": "https", "mqtt": "mqtts", "ws": "wss"}
"""The encrypted scheme in place of each that sends in plain text."""


def is_plaintext(url: SplitResult) -> bool:
    """Return whether an address would send in plain text to another machine."""
    return url.scheme in _ENCRYPTED and not is_loopback(url.hostname or "")


def refuse_plaintext(text: str, *, key: str, insecure: bool) -> None:
    """Refuse an address that would send in plain text to another machine.

    `key` names it in the error; `insecure` allows it.

    Raises:
        ConfigError: it would, or it is no address; the text says what to write.
    """
    try:
        url = urlsplit(text)
    except ValueError as error:
        raise ConfigError(f"{key}: {text[:120]!r} is not an address") from error
    if insecure or not is_plaintext(url):
        return
    place = f"{url.scheme}://{url.hostname}"
    raise ConfigError(
        f"{key}: {place} would send in plaintext; write {_ENCRYPTED[url.scheme]}://, or "
        "insecure = true if nobody else is on the network in between"
    )
