"""Finds probes, stores and channels by entry point, ours and strangers' through one door."""

from importlib.metadata import entry_points
from typing import Any

from netwatch.model.errors import PluginError


def plugin_names(group: str) -> list[str]:
    """Return the sorted names installed in `netwatch.<group>`, such as `probes`."""
    return sorted({entry.name for entry in entry_points(group=f"netwatch.{group}")})


def load_plugin(group: str, name: str) -> Any:  # noqa: ANN401 - the caller's Protocol says what it is
    """Return the class that `name` stands for in `netwatch.<group>`.

    Raises:
        PluginError: no such name, or what it points at cannot be imported.
    """
    kind = group.removesuffix("s")
    found = [entry for entry in entry_points(group=f"netwatch.{group}") if entry.name == name]
    if not found:
        names = ", ".join(plugin_names(group)) or "none"
        raise PluginError(f"no {kind} named {name!r}; installed: {names}")
    try:
        return found[0].load()
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{kind} {name!r} cannot be loaded: {error}") from error
