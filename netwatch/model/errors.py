"""Every error that netwatch raises on purpose, as one short tree.

    NetwatchError
    ├── ConfigError     the configuration cannot be used; names the file and the key
    ├── InputError      a file or a message from outside cannot be used; names the place
    ├── TransportError  the broker cannot be reached, or refused us
    ├── PluginError     no plugin of that name; says which names exist
    ├── StoreError      the store or the ledger cannot be read or written
    ├── WorkerError     a process or a machine that was to do a part of the work is gone
    └── WordingError    a text that may not be published; says which rule it breaks

A failing network is no error but data: see `netwatch.model.failure`.
The command line prints an error's text as one line and exits with 2.
"""


class NetwatchError(Exception):
    """Base of every error that netwatch raises on purpose; its text is one line for a person."""


class ConfigError(NetwatchError):
    """Raised when the configuration cannot be used; the text names the file and the key."""


class InputError(NetwatchError):
    """Raised when a file or a message from outside cannot be used; the text names the place."""


class TransportError(NetwatchError):
    """Raised when the broker cannot be reached, refused us, or went away."""


class PluginError(NetwatchError):
    """Raised when no plugin has the name that was asked for; the text lists those that exist."""


class StoreError(NetwatchError):
    """Raised when the store or the ledger cannot be read or written."""


class WordingError(NetwatchError):
    """Raised when a text may not be published; says which rule of wording it breaks."""


class WorkerError(NetwatchError):
    """Raised when a process or a machine that did a part of the work is gone."""
