"""Writes `docs/configuration.md` and `docs/commands.md` from what the program itself knows.

`make docs` runs it; `tests/test_docs.py` holds the pages to it.
"""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path

import click
import msgspec
import typer

from netwatch.cli.main import app
from netwatch.config import Config, PlaceConfig, UplinkConfig
from netwatch.model.measurement import Target
from netwatch.plugins import load_plugin, plugin_names

__all__ = ["commands_page", "config_keys", "configuration_page", "leaf_commands"]

ROOT = Path(__file__).parents[1]
_UNITS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SENTINEL = "required"
_LISTS = {"uplink": UplinkConfig, "target": Target, "place": PlaceConfig}
"""Tables of which there may be many."""

MEANINGS = {
    "data": "folder in which everything is kept",
    "test": "marks every message as a test",
    "broker.embedded": "start a broker in this process instead of using one elsewhere",
    "broker.host": "where the broker is, or where the embedded one listens",
    "broker.port": "its port; 8883 is usual with TLS",
    "broker.username": "the name to log in with",
    "broker.password": "the password, or `$NAME` of the environment; embedded makes its own",
    "broker.tls": "speak TLS to the broker",
    "uplink.urls": "addresses of one rung: `mqtts://host:8883`, `wss://host/mqtt`, `https://host`",
    "uplink.username": "the name to log in with; empty takes the broker's",
    "uplink.password": "the password, or `$NAME` of the environment; empty takes the broker's",
    "uplink.authority": "file with the certificates that TLS trusts; empty is the system's",
    "uplink.alpn": "protocol named in the TLS handshake, such as `mqtt` on port 443",
    "collector.host": "where `netwatch collect` takes batches over HTTP",
    "collector.port": "its port; 0 leaves that to the page of `netwatch up`",
    "collector.rate": "batches a second of one agent; 0 leaves it to them",
    "collector.spread": "agents that were cut off together come back within it",
    "collector.shared": "share the batches with other collectors at the same broker",
    "vantage.id": "name of this agent: 1 to 64 letters, digits, `.`, `_` and `-`",
    "vantage.country": "the country it measures from, two letters",
    "vantage.asn": "the network it measures from",
    "agent.period": "each target is probed once in it",
    "agent.timeout": "how long one measurement may take",
    "agent.concurrency": "measurements under way at once, at the most",
    "agent.seal": "how long measurements are gathered before a batch is sent",
    "agent.spool_bytes": "size of the file in which they wait while the broker cannot be reached",
    "agent.witness_period": "how often it asks what should always answer, to know its own line",
    "agent.budget": "how much the agent may do: `low`, `standard` or `full`",
    "agent.quiet_hours": "hours in which nothing is probed",
    "fleet.url": "where agents reach the HTTP service; empty takes `publish.url`",
    "fleet.brokers": "where enrolled agents send to, as `mqtts://host:8883`, best first",
    "fleet.open_weight": "how far an agent that never enrolled is believed, 0 to 1",
    "agent.burst": "when its line changes, ask five times as often, 30 minutes a day at most",
    "store.engine": "where series are kept; see the stores below",
    "store.url": "address of InfluxDB",
    "store.database": "database; on InfluxDB 2 the bucket",
    "store.username": "the name to log in with, on InfluxDB 1",
    "store.password": "the password or API token, or `$NAME` for an environment variable",
    "store.organization": "the organization, on InfluxDB 2",
    "store.authority": "file with the certificates that TLS trusts",
    "store.patience": "how long an answer is awaited",
    "store.hourly": "second database or bucket, for hourly bins for ever; empty makes none",
    "store.raw": "how long the embedded store keeps bins as measured",
    "store.five_minutes": "how long it keeps bins of five minutes; hourly ones stay for ever",
    "analysis.bin": "width of the intervals that are counted and judged",
    "analysis.grace": "how long late measurements are awaited before an interval closes",
    "analysis.least_history": "how old a series must be before it has an ordinary level",
    "incidents.hold_country": "a country must be low for so long before it is an incident",
    "incidents.hold_network": "the same for a region, a network or a domain",
    "incidents.group": "losses of nested scopes that begin within it are one incident",
    "incidents.stable": "a level must be back for so long before the incident is over",
    "incidents.reopen": "a new loss within it continues the incident",
    "incidents.milestone": "unit of the milestones 1, 3, 6, 12, 24 …",
    "incidents.update_every": "at most one scheduled update in it",
    "publish.channels": "where posts go; see the channels below",
    "publish.languages": "the languages they are written in",
    "publish.url": "address under which readers find the page",
    "publish.automatic": "let a machine post without a person, as UNCONFIRMED",
    "publish.webhook": "address of the channel `webhook`",
    "publish.topic": "topic of the channel `mqtt`",
    "web.host": "address that the page listens on",
    "web.port": "its port",
    "target.id": "stable name, never an address",
    "target.probe": "the question to ask; see the probes below",
    "target.host": "name or address to ask",
    "target.port": "port; 0 is the probe's usual one",
    "target.path": "for `http` the path, for `dns` the name, for `tls` a pin; see witnesses.md",
    "target.domain": "the site that the answer speaks for",
    "target.asn": "the network that it speaks for",
    "target.region": "the region (ISO 3166-2) that it speaks for",
    "target.country": "the country that it speaks for, two letters",
    "target.group": "a free label, such as `control`",
    "place.entity": "`kind:code`, a kind of `country`, `region`, `asn` or `domain`",
    "place.name": "what people call it",
    "place.parent": "the entity that it is a part of",
    "place.weight": "its share in its parent, in any unit that siblings share; 0 leaves it out",
    "place.zone": "IANA time zone for local times",
}
"""What each key means, one line each."""


def _text(value: object) -> str:
    """Return a value as it stands in TOML."""
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
        return f'"{seconds // size}{unit}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_text(one) for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _rows_of(kind: type) -> Iterator[tuple[str, str]]:
    """Yield key and default of a struct or a dataclass."""
    if issubclass(kind, msgspec.Struct):
        for entry in msgspec.structs.fields(kind):
            yield entry.name, _SENTINEL if entry.required else _text(entry.default)
        return
    for entry in fields(kind):
        yield entry.name, _SENTINEL if entry.default is MISSING else _text(entry.default)


def config_keys() -> dict[str, dict[str, str]]:
    """Return the default of every key, by table; the empty table is the top of the file."""
    tables: dict[str, dict[str, str]] = {"": {}}
    for entry in msgspec.structs.fields(Config):
        if isinstance(entry.default, msgspec.Struct):
            tables[entry.name] = dict(_rows_of(type(entry.default)))
        elif entry.name not in _LISTS:
            tables[""][entry.name] = _text(entry.default)
    tables |= {name: dict(_rows_of(kind)) for name, kind in _LISTS.items()}
    return tables


def _title(table: str) -> str:
    """Return a table's heading."""
    if not table:
        return "The top of the file"
    return f"`[[{table}]]`" if table in _LISTS else f"`[{table}]`"


def configuration_page() -> str:
    """Return `docs/configuration.md`."""
    lines = [
        "# Configuration",
        "",
        "One TOML file; `netwatch init` writes one to start from. Every key but those called",
        "*required* may be left out. An unknown key, a wrong type or a missing file is one line",
        "that names the place, and exit code 2. Lengths of time are written `500ms`, `30s`, `5m`,",
        "`12h`, `2d` or `8w`. This page is written by `make docs`.",
    ]
    for table, keys in config_keys().items():
        lines += ["", f"## {_title(table)}", "", "| key | default | meaning |", "|---|---|---|"]
        for key, default in keys.items():
            meaning = MEANINGS.get(f"{table}.{key}".lstrip("."), "")
            shown = f"*{default}*" if default == _SENTINEL else f"`{default}`"
            lines.append(f"| `{key}` | {shown} | {meaning} |")
    for group in ("probes", "stores", "channels"):
        lines += ["", f"## {group.capitalize()}", "", "| name | what it is |", "|---|---|"]
        for name in plugin_names(group):
            about = (load_plugin(group, name).__doc__ or "").strip().splitlines()[0]
            lines.append(f"| `{name}` | {about} |")
    return "\n".join([*lines, ""])


def leaf_commands(
    command: click.Command | None = None, path: str = "netwatch"
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its whole name."""
    found = typer.main.get_command(app) if command is None else command
    inner = getattr(found, "commands", None)
    if inner is None:
        yield path, found
        return
    if getattr(found, "invoke_without_command", False) and found.params and path != "netwatch":
        yield path, found
    for name, one in inner.items():
        yield from leaf_commands(one, f"{path} {name}")


def commands_page() -> str:
    """Return `docs/commands.md`."""
    lines = [
        "# Commands",
        "",
        "Every command has `--help`. What cannot be done is one line on stderr and exit code 2.",
        "This page is written by `make docs`.",
    ]
    for name, command in leaf_commands():
        lines += [
            "",
            f"## {name}",
            "",
            *(line.strip() for line in (command.help or "").splitlines()),
        ]
        rows = [_parameter(parameter) for parameter in command.params]
        rows = [row for row in rows if row]
        if rows:
            lines += ["", "| option | default | meaning |", "|---|---|---|", *rows]
    return "\n".join([*lines, ""])


def _parameter(parameter: click.Parameter) -> str:
    """Return one row about a parameter, empty for `--help`."""
    if "--help" in parameter.opts:
        return ""
    isargument = parameter.param_type_name == "argument"
    name = (parameter.name or "").upper() if isargument else " ".join(parameter.opts)
    default = parameter.default
    shown = _SENTINEL if parameter.required else "" if default in {None, False} else str(default)
    code = f"`{shown}`" if shown and shown != _SENTINEL else shown
    return f"| `{name}` | {code} | {getattr(parameter, 'help', None) or ''} |"


if __name__ == "__main__":
    (ROOT / "docs" / "configuration.md").write_text(configuration_page(), "utf-8")
    (ROOT / "docs" / "commands.md").write_text(commands_page(), "utf-8")
