"""Reads true events from researchers' tables and from curated lists.

Columns: `entity`, `started_at`, `ended_at` and optionally `level` (share of ordinary that was
left). Columns of published lists are read by their own names: the curated outages of InetIntel
(`Begin time`, `End time`, `Country`, `Scope …`) and the outage annotations of Cloudflare Radar
(`startDate`, `endDate`, `locations`, `asns`). Rows of such lists without a known country or
network, such as names of regions, or without a valid time are skipped and listed.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

import msgspec
from babel import Locale

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import InputError, os_errors_as
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.sources.table_reader import read_table

_STARTS = ("started_at", "start", "Begin time", "startDate")
_ENDS = ("ended_at", "end", "End time", "endDate")
_NETWORKS = ("asn", "AS", "asns")
_COUNTRIES = ("country", "Country", "locations")
_TIME_FORMATS = (
    "%A, %B %d, %Y, %I:%M:%S %p",
    "%A, %B %d, %Y, %I:%M %p",
    "%A, %B %d, %Y, %I:%M: %p",
)
_SCOPE = re.compile(r"AS\s*\(\s*(?:AS)?\s*(\d+)\s*\)")
_BRACKETS = re.compile(r"\s*\(.*\)|/.*")
_FORMER = {
    "czech republic": "CZ", "ivory coast": "CI", "macedonia": "MK", "swaziland": "SZ",
    "great britain": "GB", "myanmar": "MM", "turkey": "TR", "russian federation": "RU",
    "kyrgyz republic": "KG", "democratic republic of": "CD", "congo": "CG", "hong kong": "HK",
}  # fmt: skip
"""Names that lists use and the Unicode names of countries do not."""


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """One loss of one entity; `level` is the share of ordinary that was left, None if unknown."""

    entity: Entity
    started_at: datetime
    ended_at: datetime | None
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """The events of a file, in order of time, and the rows that could not be used, with reasons."""

    events: tuple[TrueEvent, ...]
    skipped: tuple[str, ...]


def read_truth(path: Path) -> Truth:
    """Return the events in `path`, a CSV, Parquet or JSON file.

    Raises:
        InputError: it has no events, or a row with an invalid time or level; the text names the
            line.
    """
    events: list[TrueEvent] = []
    skipped: list[str] = []
    for where, row in _rows(path):
        try:
            found = decode_foreign(row, partial(_events, where=where), what=where)
        except InputError as error:
            if row.get("entity"):
                raise
            # A published list of thousands has a few errors, which its readers cannot correct.
            skipped.append(str(error))
            continue
        if not found:
            skipped.append(f"{where}: names no country or network that is known")
        events += found
    if not events:
        raise InputError(f"{path}: no event; {skipped[0] if skipped else 'it has no row'}")
    events.sort(key=lambda one: (one.started_at, one.entity))
    return Truth(tuple(events), tuple(skipped))


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    if path.suffix == ".json":
        for number, row in enumerate(_json_rows(path), 1):
            yield f"{path}, event {number}", row
        return
    table = read_table(path)
    table.columns = table.columns.str.strip()
    columns = {str(name): table[name].astype(str).tolist() for name in table.columns}
    for number, line in enumerate(table.index):
        yield f"{path}, line {line}", {name: column[number] for name, column in columns.items()}


def _json_rows(path: Path) -> Sequence[Mapping[str, object]]:
    """Return the objects of a JSON array, or of the annotations in an answer of Radar."""
    what = f"{path}: cannot be read as JSON"
    with os_errors_as(InputError, what):
        data = path.read_bytes()
    body = decode_foreign(data, msgspec.json.decode, what=what)
    for name in ("result", "annotations"):
        if isinstance(body, dict) and name in body:
            body = body[name]
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        raise InputError(f"{path}: want an array of events")
    return body


def _events(row: Mapping[str, object], where: str) -> list[TrueEvent]:
    start = _time(row, _STARTS, where)
    if start is None:
        raise InputError(f"{where}: no start; name it {' or '.join(map(repr, _STARTS))}")
    end = _time(row, _ENDS, where)
    if end is not None and end <= start:
        raise InputError(f"{where}: ends at {end:%Y-%m-%dT%H:%MZ}, before it begins")
    level = _level(row.get("level"), where)
    return [TrueEvent(entity, start, end, level) for entity in _entities(row, where)]


def _time(row: Mapping[str, object], names: Sequence[str], where: str) -> datetime | None:
    text = next((str(row[name]).strip() for name in names if row.get(name)), "")
    if not text:
        return None
    found = _parsed(text)
    if found is None:
        raise InputError(f"{where}: {text[:40]!r} is not a time (ISO 8601)")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _parsed(text: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.fromisoformat(text)
    for form in _TIME_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC)
    return None


def _level(value: object, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        level = float(str(value))
    except ValueError:
        level = math.nan
    if not 0 <= level <= 2:
        raise InputError(f"{where}: {str(value)[:40]!r} is not a level; 1.0 is ordinary")
    return level


def _entities(row: Mapping[str, object], where: str) -> list[Entity]:
    """Return the entities of an event: the given one, else networks, else countries."""
    if text := row.get("entity"):
        try:
            return [Entity.parse(str(text))]
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    scope = next((str(row[name]) for name in row if name.startswith("Scope")), "")
    if network := _SCOPE.match(scope):
        return [Entity(EntityKind.ASN, str(int(network[1])))]
    if scope.startswith(("Region", "AS")):
        return []
    networks = [Entity(EntityKind.ASN, str(int(number))) for number in _listed(row, _NETWORKS)
                if number.isascii() and number.isdigit()]  # fmt: skip
    if networks:
        return networks
    codes = (_country(name) for name in _listed(row, _COUNTRIES))
    return [Entity(EntityKind.COUNTRY, code) for code in codes if code]


def _listed(row: Mapping[str, object], names: Sequence[str]) -> list[str]:
    """Return the entries of the first of several columns: an array, or one text."""
    value = next((row[name] for name in names if row.get(name)), None)
    if isinstance(value, list):
        return [str(entry) for entry in value]
    if isinstance(value, str) and value.startswith("["):
        return [str(entry) for entry in json.loads(value)]
    return [] if value is None else [str(value)]


def _country(name: str) -> str | None:
    if re.fullmatch(r"[A-Z]{2}", name):
        return name
    known = _country_names()
    short = _BRACKETS.sub("", name).casefold().strip()
    return known.get(name.casefold().strip()) or known.get(short) or _FORMER.get(short)


@cache
def _country_names() -> dict[str, str]:
    names = Locale("en").territories.items()
    return {name.casefold(): code for code, name in names if re.fullmatch(r"[A-Z]{2}", code)}
