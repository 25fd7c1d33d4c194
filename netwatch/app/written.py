"""A configuration written down again, so that other processes can be started with it."""

from datetime import timedelta
from pathlib import Path

import msgspec
import tomli_w

from netwatch.config import Config, Duration
from netwatch.model.errors import StoreError


def write_config(config: Config, path: Path) -> None:
    """Write `config` as TOML that `netwatch.config.read_config` reads back as the same.

    Raises:
        StoreError: the file cannot be written.
    """
    plain = msgspec.to_builtins(config, enc_hook=_say_duration)
    text = tomli_w.dumps(plain)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def _say_duration(value: object) -> str:
    """Return a duration as the text that a person would write."""
    if not isinstance(value, Duration):
        raise TypeError(f"{type(value).__name__} has no place in a configuration")
    return f"{round(value / timedelta(milliseconds=1))}ms"
