"""Generates `docs/configuration.md` and `docs/commands.md` from the code.

`make docs` runs it; `tests/test_docs.py` checks that the pages are up to date.
"""

import sys
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
from netwatch.plugins import Section, load_plugin, plugin_names

ROOT = Path(__file__).parents[1]
_UNITS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SENTINEL = "required"
_LISTS = {"uplink": UplinkConfig, "target": Target, "place": PlaceConfig}
"""Tables that may occur several times."""
_GROUPS = ("probes", "stores", "channels", "sources")
"""Groups of plugins; the table of plugin x of group g is `[g.x]`."""

MEANINGS = {
    "data": "the data folder",
    "drill": "mark every post and page as a drill",
    "broker.embedded": "run a broker in this process instead of using another one",
    "broker.host": "host of the broker, or the address that the embedded one listens on",
    "broker.port": "its port; 8883 is usual with TLS",
    "broker.username": "user name",
    "broker.password": "password, or `$NAME` of the environment; the embedded broker makes one",
    "broker.tls": "use TLS",
    "broker.insecure": "allow a broker on another machine without TLS, and the observatory's "
    "addresses named on enrollment",
    "uplink.urls": "addresses of one endpoint: `mqtts://host:8883`, `wss://host/mqtt`, "
    "`https://host`",
    "uplink.username": "user name; empty is the broker's",
    "uplink.password": "password, or `$NAME` of the environment; empty is the broker's",
    "uplink.ca_file": "file of the certificates that TLS trusts; empty is the system's",
    "uplink.alpn": "protocol named in the TLS handshake, such as `mqtt` on port 443",
    "uplink.insecure": "allow `mqtt://`, `ws://` and `http://` to another machine",
    "collector.host": "address on which `netwatch collect` accepts batches over HTTP",
    "collector.port": "its port; 0 leaves HTTP to the page server of `netwatch up`",
    "collector.rate": "advised batches per second and agent; 0 advises no limit",
    "collector.reconnect_spread": "agents that lost their connection together reconnect within it",
    "collector.unsigned": "also accept unsigned batches, under names that have no key yet",
    "collector.shared": "share the batches with other collectors of the same broker",
    "vantage.id": "name of this agent: 1 to 64 letters, digits, `.`, `_` and `-`",
    "vantage.country": "the country it measures from, two letters",
    "vantage.asn": "the network it measures from",
    "agent.period": "interval between two measurements of a target",
    "agent.timeout": "limit of one measurement",
    "agent.concurrency": "limit of simultaneous measurements",
    "agent.flush_interval": "how long measurements are collected before a batch is sent",
    "agent.spool_bytes": "size limit of the spool, which keeps batches until they are acknowledged",
    "agent.witness_period": "interval between checks of the vantage's own connection",
    "agent.budget": "daily traffic budget: `low`, `standard` or `full`",
    "agent.quiet_hours": "hours without probing, such as `22-06`",
    "agent.burst": "probe five times as often after a change, 30 minutes a day at most",
    "fleet.url": "URL of the HTTP service for agents; empty is `publish.url`",
    "fleet.brokers": "brokers of enrolled agents, as `mqtts://host:8883`, best first",
    "fleet.open_weight": "trust weight of an agent that never enrolled, 0 to 1",
    "store.engine": "the store engine; see the stores below",
    "analysis.bin": "width of the intervals that are counted and analysed",
    "analysis.late_data_grace": "wait for late measurements before an interval closes",
    "analysis.min_history": "history that a series needs before it has a baseline",
    "incidents.min_duration_country": "how long a country must be low before an incident opens",
    "incidents.min_duration_network": "the same for a region, a network or a domain",
    "incidents.merge_window": "losses of nested entities that begin within it are one incident",
    "incidents.resolve_after": "how long a level must be back before the incident is resolved",
    "incidents.reopen_window": "a new loss within it continues the incident",
    "incidents.milestone": "unit of the milestones 1, 3, 6, 12, 24 …",
    "incidents.update_every": "shortest time between two scheduled updates",
    "publish.channels": "channels of posts; see the channels below",
    "publish.languages": "languages of posts",
    "publish.url": "public URL of the observatory's pages",
    "publish.auto_publish": "publish unreviewed incidents, marked UNCONFIRMED",
    "web.host": "address of the page server",
    "web.port": "its port",
    "target.id": "stable name, never an address",
    "target.probe": "the probe; see the probes below",
    "target.host": "name or address to probe",
    "target.port": "port; 0 is the probe's default",
    "target.path": "for `http` the path, for `dns` the name, for `tls` a pin; see witnesses.md",
    "target.domain": "the site that the target represents",
    "target.asn": "the network that it represents",
    "target.region": "the region (ISO 3166-2) that it represents",
    "target.country": "the country that it represents, two letters",
    "target.group": "a free label, such as `control`",
    "place.entity": "`kind:code`, a kind of `country`, `region`, `asn` or `domain`",
    "place.name": "display name",
    "place.parent": "the entity that contains it",
    "place.weight": "its share of the parent, in a unit that siblings share; 0 excludes it",
    "place.timezone": "IANA time zone for local times",
    "stores.influx.url": "address of InfluxDB",
    "stores.influx.database": "database; on InfluxDB 2 the bucket",
    "stores.influx.username": "user name, on InfluxDB 1",
    "stores.influx.password": "the password or API token, or `$NAME` of the environment",
    "stores.influx.organization": "the organization, on InfluxDB 2",
    "stores.influx.ca_file": "file of the certificates that TLS trusts; empty is the system's",
    "stores.influx.timeout": "how long a request is retried",
    "stores.influx.rollup_database": "second database or bucket, for hourly bins; empty: off",
    "stores.influx.insecure": "allow `http://` to another machine",
    "stores.sqlite.raw_retention": "how long bins are kept as measured",
    "stores.sqlite.five_minute_retention": "how long bins of five minutes are kept",
    "channels.file.folder": "folder of the posts, absolute or relative to the data folder",
    "channels.mqtt.topic": "topic that posts are published under",
    "channels.webhook.url": "URL that posts are sent to",
    "channels.webhook.timeout": "limit of connecting, and of each read and write",
    "channels.webhook.insecure": "allow `http://` to another machine",
}
"""What each key means, one line each."""


def _text(value: object) -> str:
    """Return a value in TOML."""
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
        elif entry.name not in _LISTS and entry.name not in _GROUPS:
            tables[""][entry.name] = _text(entry.default)
    tables |= {name: dict(_rows_of(kind)) for name, kind in _LISTS.items()}
    tables |= {name: dict(_rows_of(kind)) for name, kind in plugin_options().items()}
    return tables


def plugin_options() -> dict[str, type[Section]]:
    """Return the struct of each plugin's options, which its module defines or imports."""
    structs: dict[str, type[Section]] = {}
    for group in _GROUPS:
        for name in plugin_names(group):
            for value in vars(sys.modules[load_plugin(group, name).__module__]).values():
                if isinstance(value, type) and issubclass(value, Section) and value is not Section:
                    structs[f"{group}.{name}"] = value
    return structs


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
        "One TOML file; `netwatch init` writes an example. Every key has a default except those",
        "marked *required*. An unknown key, a wrong type or a missing file is an error: one line",
        "that names the key, and exit code 2. Durations are written `500ms`, `30s`, `5m`, `12h`,",
        "`2d` or `8w`. `make docs` generates this page.",
    ]
    for table, keys in config_keys().items():
        lines += ["", f"## {_title(table)}", "", "| key | default | meaning |", "|---|---|---|"]
        for key, default in keys.items():
            meaning = MEANINGS.get(f"{table}.{key}".lstrip("."), "")
            shown = f"*{default}*" if default == _SENTINEL else f"`{default}`"
            lines.append(f"| `{key}` | {shown} | {meaning} |")
    for group in _GROUPS:
        lines += ["", f"## {group.capitalize()}", "", "| name | description |", "|---|---|"]
        for name in plugin_names(group):
            about = (load_plugin(group, name).__doc__ or "").strip().splitlines()[0]
            lines.append(f"| `{name}` | {about} |")
    return "\n".join([*lines, ""])


def leaf_commands(
    command: click.Command | None = None, path: str = "netwatch"
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that can be run, with its full name."""
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
        "Every command has `--help`. An error is one line on stderr and exit code 2.",
        "`make docs` generates this page.",
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
    default = parameter.default() if callable(parameter.default) else parameter.default
    shown = _SENTINEL if parameter.required else "" if default in {None, False} else str(default)
    code = f"`{shown}`" if shown and shown != _SENTINEL else shown
    return f"| `{name}` | {code} | {getattr(parameter, 'help', None) or ''} |"


if __name__ == "__main__":
    (ROOT / "docs" / "configuration.md").write_text(configuration_page(), "utf-8")
    (ROOT / "docs" / "commands.md").write_text(commands_page(), "utf-8")
