"""Secrets, which a configuration may name instead of holding."""

import os

from netwatch.model.errors import ConfigError


def resolve_secret(text: str, *, key: str) -> str:
    """Return a secret: `text` itself, or of `$NAME` what that environment variable holds.

    Args:
        text: as it stands in the configuration.
        key: where it stands there, for the error.

    Raises:
        ConfigError: the variable is not set or empty.
    """
    if not text.startswith("$"):
        return text
    found = os.environ.get(text[1:], "")
    if not found:
        raise ConfigError(f"{key}: {text} is not set in the environment")
    return found
