"""Finds stores, channels, probes and sources by entry point and builds them from configuration.

A built-in plugin and a third-party one are the same: a class that an entry point of the group
`netwatch.<group>` names, with `from_config(section, services)` (`netwatch.protocols.Plugin`).
`section` is the table `[<group>.<name>]` of the configuration, empty if there is no such table.
"""

import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any, Self, TypeVar

import msgspec

from netwatch.model.duration import Duration
from netwatch.model.errors import ConfigError, PluginError
from netwatch.protocols import Services

_Decoded = TypeVar("_Decoded")


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base class of the tables of a configuration; an unknown key is an error."""


class NoOptions:
    """Mixin for plugins that have no options: an empty section, a constructor without arguments."""

    @classmethod
    def from_config(cls, section: Mapping[str, object], services: Services) -> Self:  # noqa: ARG003 - without options, none is needed
        """See `netwatch.protocols.Plugin`."""
        decode_section(Section, section)
        return cls()


def decode_section(kind: type[_Decoded], section: Mapping[str, object]) -> _Decoded:
    """Return a table of the configuration as a `kind`; durations are strings such as `5m`.

    Raises:
        ConfigError: an unknown key, a missing key or a wrong type, in one line that names the key.
    """
    try:
        return msgspec.convert(section, kind, dec_hook=_decode_duration)
    except msgspec.ValidationError as error:
        # msgspec writes "message - at `$.key`".
        message, _, key = str(error).partition(" - at `$.")
        raise ConfigError(f"{key.rstrip('`')}: {message}" if key else message) from error


def plugin_names(group: str) -> list[str]:
    """Return the sorted names installed in `netwatch.<group>`, such as `probes`."""
    return sorted({entry.name for entry in _entry_points(group, tuple(sys.path))})


@cache
def _entry_points(group: str, _path: tuple[str, ...]) -> EntryPoints:
    """Return the entry points of a group; finding them reads the whole import path."""
    return entry_points(group=f"netwatch.{group}")


def load_plugin(group: str, name: str) -> Any:  # noqa: ANN401 - the group's Protocol types it
    """Return the class that the entry point `name` of `netwatch.<group>` names.

    Raises:
        PluginError: there is no such entry point, or its class cannot be imported.
    """
    kind = group.removesuffix("s")
    entries = [one for one in _entry_points(group, tuple(sys.path)) if one.name == name]
    if not entries:
        names = ", ".join(plugin_names(group)) or "none"
        raise PluginError(f"no {kind} named {name!r}; installed: {names}")
    try:
        return entries[0].load()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{kind} {name!r} cannot be loaded: {error}") from error


def build_plugin(group: str, name: str, section: Mapping[str, object], services: Services) -> Any:  # noqa: ANN401 - the group's Protocol types it
    """Return the plugin `name` of `group`, configured by its section.

    Raises:
        PluginError: there is no such plugin, or its class cannot be imported.
        ConfigError: the section is invalid; the message begins with `<group>.<name>`.
    """
    plugin = load_plugin(group, name)
    try:
        return plugin.from_config(section, services)
    except ConfigError as error:
        raise ConfigError(f"{group}.{name}: {error}") from error


def _decode_duration(kind: type, value: object) -> Duration:
    if issubclass(kind, Duration) and isinstance(value, str):
        return kind.parse(value)
    raise ValueError('expected a duration such as "5m"')
