"""`netwatch outages` and `netwatch timeline`: the record and the levels, on a terminal."""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import typer
from rich.console import Console

from netwatch.app.clock import now
from netwatch.cli.output import TimelineRow, outages_table, percent_text, timeline_lines
from netwatch.cli.time_parsing import parse_instant
from netwatch.config import Config, read_config
from netwatch.model.duration import Duration
from netwatch.model.entities import Entity, EntityInfo, EntityKind, EntityTree
from netwatch.model.errors import InputError, NetwatchError, StoreError
from netwatch.model.incident import Incident, IncidentState
from netwatch.protocols import Ledger, SeriesStore

app = typer.Typer(no_args_is_help=True)
group = typer.Typer(invoke_without_command=True)
"""`netwatch outages` and what can be said of one of them."""
app.add_typer(group, name="outages")

_COLUMNS = 56
_STEPS = [1, 2, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]
_HIDDEN = frozenset({IncidentState.PENDING, IncidentState.EXPIRED, IncidentState.MERGED})
_WIDE = 160

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Where the files are kept; else as configured, else `data`."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="A configuration, whose store is read and whose places name."),
]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="2019-11-15, 2019-11-15T20:00, -36h, yesterday, @…")
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Like --since.")]
ZoneOption = Annotated[
    str, typer.Option("--tz", help="Zone of days and times without one: UTC or Area/City.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
AsciiOption = Annotated[bool, typer.Option("--ascii", help="No character beyond ASCII.")]


@dataclass(frozen=True, slots=True)
class Data:
    """What an observatory keeps in its folder; close it after use."""

    store: SeriesStore
    ledger: Ledger
    places: EntityTree

    def close(self) -> None:
        """Let go of the files."""
        self.store.close()
        self.ledger.close()


def open_data(directory: Path | None = None, *, config: Path | None = None) -> Data:
    """Open the ledger and the store of an observatory, and for names its places.

    Args:
        directory: where its files are; None is where the configuration says, else `data`.
        config: a configuration: its engine is read, its places are used, not `places.json`.

    Raises:
        StoreError: the folder holds no observatory's data, or they cannot be read.
        InputError: `places.json` holds something else.
        ConfigError: the configuration cannot be used.
    """
    from netwatch.app.factories import make_entity_tree, open_ledger, open_store

    loaded = read_config(config) if config else Config()
    folder = directory or Path(loaded.data)
    loaded = msgspec.structs.replace(loaded, data=str(folder))
    kept = ("series.sqlite",) if loaded.store.engine == "sqlite" else ()
    for name in ("ledger.sqlite", *kept):
        if not (folder / name).is_file():
            raise StoreError(f"{folder / name}: no such file; is --data right?")
    places = make_entity_tree(loaded) if config else EntityTree(_read_places(folder))
    store = open_store(loaded)
    try:
        return Data(store=store, ledger=open_ledger(loaded), places=places)
    except StoreError:
        store.close()
        raise


@group.callback()
def outages(
    context: typer.Context,
    country: Annotated[str | None, typer.Option(help="Two letters, such as IR.")] = None,
    scope: Annotated[str | None, typer.Option(help="IR, IR-23, AS44244 or a domain.")] = None,
    state: Annotated[IncidentState | None, typer.Option(help="Only incidents in it.")] = None,
    min_level: Annotated[int, typer.Option(min=0, max=4, help="Least evidence level.")] = 2,
    since: SinceOption = None,
    until: UntilOption = None,
    zone: ZoneOption = "UTC",
    as_json: JsonOption = False,
    plain: AsciiOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """List incidents, newest first. `--since` keeps those that were still going on then."""
    if context.invoked_subcommand is not None:
        return
    with plain_end():
        first, last = _instant(since, zone), _instant(until, zone)
        wanted = parse_scope(scope) if scope else None
        opened = open_data(data, config=config)
        try:
            places = opened.places
            found = [
                incident
                for incident in opened.ledger.incidents()
                if _in_time(incident, first, last)
                and (country is None or _country(incident, places) == country.upper())
                and (wanted is None or incident.entity == wanted)
                and (incident.state == state if state else incident.state not in _HIDDEN)
            ]
        finally:
            opened.close()
        shown = [incident for incident in found if incident.evidence_level >= min_level]
        if as_json:
            _print_objects(shown, places)
        else:
            _print_table(shown, places, plain=plain)
            _note(_count_note(len(shown), len(found) - len(shown)))


@app.command()
def timeline(
    scope: Annotated[str, typer.Argument(help="IR, IR-23, AS44244 or a domain.")],
    since: SinceOption = None,
    until: UntilOption = None,
    step: Annotated[str | None, typer.Option(help="One character is so long: 10m, 1h, 3h.")] = None,
    by: Annotated[str | None, typer.Option(help="Also its parts: region or asn.")] = None,
    zone: ZoneOption = "UTC",
    as_json: JsonOption = False,
    plain: AsciiOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Draw the level of a place on a fixed scale from 0 to ordinary; no data is `·`."""
    with plain_end():
        entity = parse_scope(scope)
        kind = _part_kind(by)
        first, last = _instant(since, zone), _instant(until, zone)
        wanted_step = _step(step)
        opened = open_data(data, config=config)
        try:
            window = _window(opened, entity, first, last)
            width = wanted_step or _fitting_step(window[1] - window[0])
            entities = [entity, *(_parts(opened, entity, kind) if kind else ())]
            rows = [_timeline_row(opened, part, window, width) for part in entities]
        finally:
            opened.close()
        if as_json:
            _print_series(entities, rows, window[0], width)
        else:
            _print_lines(timeline_lines(rows, window[0], width, plain=plain))


def parse_scope(text: str) -> Entity:
    """Return the entity that `IR`, `IR-23`, `AS44244`, a domain or `kind:code` names.

    Raises:
        InputError: it names none.
    """
    word = text.strip()
    if ":" in word:
        return Entity.parse(word)
    if re.fullmatch(r"[A-Za-z]{2}", word):
        return Entity.parse(f"country:{word.upper()}")
    if number := re.fullmatch(r"(?:[Aa][Ss])?(\d+)", word):
        return Entity.parse(f"asn:{number[1]}")
    if re.fullmatch(r"[A-Za-z]{2}-[A-Za-z0-9.]{1,12}", word):
        return Entity.parse(f"region:{word[:2].upper()}{word[2:]}")
    if "." in word:
        return Entity.parse(f"domain:{word}")
    raise InputError(f"{text[:60]!r} is no place; write IR, IR-23, AS44244 or a domain")


@contextmanager
def plain_end() -> Iterator[None]:
    """Print an error as one line and exit with 2; leave without a word when the pipe closes."""
    try:
        yield
        sys.stdout.flush()
    except NetwatchError as error:
        typer.echo(f"netwatch: {error}", err=True)
        raise typer.Exit(2) from error
    except BrokenPipeError:
        # Whatever is still buffered has nowhere to go; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def _read_places(directory: Path) -> list[EntityInfo]:
    path = directory / "places.json"
    if not path.is_file():
        return []
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[EntityInfo])
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"{path}: not a list of places: {error}") from error


def _instant(text: str | None, zone: str) -> datetime | None:
    """Return the instant that an option names, and say on stderr which one it is."""
    if text is None:
        return None
    try:
        found = parse_instant(text, now=now(), zone=ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(f"{zone[:60]!r} is no time zone; write UTC or Asia/Tehran") from error
    _note(f"{text} is {found:%Y-%m-%dT%H:%MZ}")
    return found


def _step(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        found = Duration.parse(text)
    except ValueError as error:
        raise InputError(f"--step: {error}") from error
    if found <= timedelta(0):
        raise InputError("--step: must be longer than nothing")
    return timedelta(seconds=found.total_seconds())


def _part_kind(by: str | None) -> EntityKind | None:
    if by is None:
        return None
    if by not in {"region", "asn"}:
        raise InputError(f"--by: want region or asn, not {by[:40]!r}")
    return EntityKind(by)


def _in_time(incident: Incident, first: datetime | None, last: datetime | None) -> bool:
    """Tell whether an incident was going on between two instants, each None for no limit."""
    if last is not None and incident.started_at >= last:
        return False
    return first is None or incident.ended_at is None or incident.ended_at >= first


def _country(incident: Incident, places: EntityTree) -> str | None:
    country = places.country(incident.entity)
    return country.code if country else None


def _window(
    opened: Data, entity: Entity, first: datetime | None, last: datetime | None
) -> tuple[datetime, datetime]:
    """Return the span to show: what was asked, else the newest two days that have levels."""
    from netwatch.publish.level_queries import lead_levels

    closed = opened.store.closed_until() or now()
    until = last or closed
    start = first or until - timedelta(hours=48)
    if start >= until:
        raise InputError(f"--since {start:%Y-%m-%dT%H:%MZ} is not before {until:%Y-%m-%dT%H:%MZ}")
    if first is None:
        levels = lead_levels(opened.store, entity, start, until)
        start = levels[0].time if levels else start
    return start, until


def _fitting_step(span: timedelta) -> timedelta:
    """Return the shortest usual step that shows `span` in one line of a terminal."""
    for seconds in _STEPS:
        if span / timedelta(seconds=seconds) <= _COLUMNS:
            return timedelta(seconds=seconds)
    return timedelta(days=-(-span // timedelta(days=_COLUMNS)))


def _parts(opened: Data, entity: Entity, kind: EntityKind) -> list[Entity]:
    """Return the parts of `entity` of one kind: those described, seen or in its incidents."""
    from netwatch.publish.level_queries import seen_entities

    places = opened.places
    known = {place.entity for place in places}
    closed = opened.store.closed_until()
    if closed is not None:
        known |= seen_entities(opened.store, closed)
    found = {part for part in known if part.kind is kind and entity in places.ancestors(part)}
    for incident in opened.ledger.incidents():
        if incident.entity == entity:
            found |= {child.entity for child in incident.affected if child.entity.kind is kind}
    found.discard(entity)
    return sorted(found, key=lambda part: (-places.info(part).weight, places.info(part).name))


def _timeline_row(
    opened: Data, entity: Entity, window: tuple[datetime, datetime], step: timedelta
) -> TimelineRow:
    from netwatch.publish.display_names import place_name
    from netwatch.publish.level_queries import lead_levels, newest_percent
    from netwatch.publish.plot_series import resample

    levels = lead_levels(opened.store, entity, *window)
    measured = [level for level in levels if level.value is not None]
    lowest = min(measured, key=lambda level: level.value or 0.0, default=None)
    return TimelineRow(
        name=place_name(entity, opened.places),
        values=tuple(resample(levels, window[0], window[1], step)),
        lowest=percent_text(newest_percent(lowest) if lowest else None),
        now=percent_text(newest_percent(levels[-1]) if levels else None),
    )


def _print_objects(incidents: list[Incident], places: EntityTree) -> None:
    from netwatch.publish.incident_json import incident_object

    for incident in incidents:
        sys.stdout.write(f"{json.dumps(incident_object(incident, places), ensure_ascii=False)}\n")


def _print_series(
    entities: list[Entity], rows: list[TimelineRow], start: datetime, step: timedelta
) -> None:
    for entity, row in zip(entities, rows, strict=True):
        series = {
            "scope": {"type": str(entity.kind), "id": entity.code, "name": row.name},
            "start": start.isoformat().replace("+00:00", "Z"),
            "step_seconds": step.total_seconds(),
            "unit": "percent_of_ordinary",
            "pct": [None if value is None else round(value, 2) for value in row.values],
        }
        sys.stdout.write(f"{json.dumps(series, ensure_ascii=False)}\n")


def _print_table(incidents: list[Incident], places: EntityTree, *, plain: bool) -> None:
    """Print a table in the terminal's width; where there is none, no cell is cut."""
    width = None if sys.stdout.isatty() else _WIDE
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    if incidents:
        console.print(outages_table(incidents, places, plain=plain))


def _print_lines(lines: list[str]) -> None:
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in lines))


def _count_note(shown: int, hidden: int) -> str:
    text = f"{shown} incident{'' if shown == 1 else 's'}. Not exhaustive. Times UTC."
    return f"{text} {hidden} below this level, use --min-level 0." if hidden else text


def _note(text: str) -> None:
    typer.echo(text, err=True)
