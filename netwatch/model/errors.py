"""Every error that netwatch raises on purpose, as one short tree.

A failing network is not an error but data: see `netwatch.model.failure`. The command line prints
an error's text as one line and exits with 2.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class NetwatchError(Exception):
    """Base of every error that netwatch raises on purpose; its text is one line."""


class ConfigError(NetwatchError):
    """The configuration is invalid; the text names the file and the key."""


class InputError(NetwatchError):
    """A file or a message from outside is invalid; the text names the position."""


class TransportError(NetwatchError):
    """The broker is unreachable, refused the connection, or closed it."""


class PluginError(NetwatchError):
    """No plugin has the requested name; the text lists the names that exist."""


class StoreError(NetwatchError):
    """The store or the ledger cannot be read or written."""


class BusyError(NetwatchError):
    """A limit is reached; the same request may succeed later."""


class WordingError(NetwatchError):
    """A text breaks a wording rule, which it names, and must not be published."""


class WorkerError(NetwatchError):
    """A worker process or a machine stopped before its part of the work was done."""


def one_line(error: BaseException) -> str:
    """Return the text of `error` on one line, at most 300 characters; its class if it has none."""
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def os_errors_as(kind: type[NetwatchError], what: str) -> Iterator[None]:
    """Raise an OSError of the block as `kind`; `what` names the file and what was not possible."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {error.strerror}") from error
