"""Every error that netwatch raises on purpose, as one short tree.

A failing network is not an error but data: see `netwatch.model.failure`. The command line prints
an error's text as one line and exits with 2.
"""


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


class WordingError(NetwatchError):
    """A text breaks a wording rule, which it names, and must not be published."""


class WorkerError(NetwatchError):
    """A worker process or a machine stopped before its part of the work was done."""
