"""`netwatch store`: look after the series that were measured."""

import sys
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from netwatch.cli.time_parsing import parse_instant
from netwatch.model.duration import Duration
from netwatch.model.entities import Entity
from netwatch.model.errors import InputError
from netwatch.model.series import SeriesKey
from netwatch.plugins import load_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from netwatch.protocols import SeriesStore
    from netwatch.store.copying import Copied
    from netwatch.store.rollup import Tier
    from netwatch.store.sqlite import SqliteStore


app = typer.Typer(help="Look after the series that were measured.", no_args_is_help=True)

DataOption = Annotated[Path, typer.Option("--data", "-d", help="The data folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
_DATA = Path("data")


@app.command()
def check(
    data: DataOption = _DATA,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="Rename damaged files, and write it down.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read everything once and name what is damaged; exit 1 where something is.

    Example: netwatch store check --data data
    """
    findings = []
    for name, store in _tiers(data):
        with closing(store):
            findings += [(name, finding) for finding in store.check(repair=set_aside)]
    if as_json:
        _print_json([{"tier": name, **msgspec.to_builtins(found)} for name, found in findings])
    for name, found in findings if not as_json else []:
        aside = "; set aside" if found.set_aside else ""
        _print(f"{name}: {found.file}: {found.fault}{aside}")
    if not as_json and not findings:
        _print("everything is whole")
    if findings:
        raise typer.Exit(1)


@app.command()
def seal(
    data: DataOption = _DATA,
    keep: Annotated[str, typer.Option(help="How long days stay open after they end.")] = "2d",
    as_json: JsonOption = False,
) -> None:
    """Move past days into Parquet files, a tenth of the size, for good.

    Example: netwatch store seal --keep 2d
    """
    entries = []
    for name, store in _tiers(data):
        with closing(store):
            for entry in store.seal(keep=_duration(keep)):
                entries.append({"tier": name, **msgspec.to_builtins(entry)})
                if not as_json:
                    _print(f"{name}: {entry.file}: {entry.rows:,} rows, {entry.bytes:,} bytes")
    if as_json:
        _print_json(entries)
    elif not entries:
        _print("nothing to seal")


@app.command()
def stats(data: DataOption = _DATA, as_json: JsonOption = False) -> None:
    """Say what is stored, of how much time, and what it takes on the disk.

    Example: netwatch store stats
    """
    found = {}
    for name, store in _tiers(data):
        with closing(store):
            found[name] = store.stats()
    if as_json:
        _print_json(found)
        return
    for name, one in found.items():
        closed = f"{one.closed_until:%Y-%m-%d %H:%M} UTC" if one.closed_until else "never"
        _print(f"{name}: {one.series:,} series, complete until {closed}")
        for kind, table in (("bins", one.bins), ("levels", one.levels)):
            span = f"{table.first:%Y-%m-%d} to {table.last:%Y-%m-%d}" if table.first else "none"
            _print(
                f"  {kind}: {span}; open {table.open_rows:,} rows, {table.open_bytes:,} bytes; "
                f"sealed {table.sealed_days} days, {table.sealed_rows:,} rows, "
                f"{table.sealed_bytes:,} bytes"
            )


@app.command()
def prune(
    data: DataOption = _DATA,
    raw: Annotated[str, typer.Option(help="How long bins stay as they were measured.")] = "14d",
    five_minutes: Annotated[str, typer.Option(help="How long bins of five minutes stay.")] = "731d",
    as_json: JsonOption = False,
) -> None:
    """Roll old bins up, to five minutes and to hours, then drop what is past its keeping.

    Example: netwatch store prune --raw 14d --five-minutes 731d
    """
    from netwatch.store.rollup import keep_house
    from netwatch.store.sqlite import SqliteStore

    keeps = {"raw": _duration(raw), "five-minutes": _duration(five_minutes)}
    _raw_path(data)
    stores = [(tier, SqliteStore(_path(data, tier.name))) for tier in _kept(keeps)]
    try:
        done = keep_house(stores, datetime.now(UTC))
    finally:
        for _, store in stores:
            store.close()
    if as_json:
        _print_json([{"tier": k.tier, "written": k.written, "dropped": k.dropped} for k in done])
        return
    for kept in done:
        _print(f"{kept.tier}: {kept.written:,} rows written, {kept.dropped:,} dropped")


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="The file: Parquet or CSV by its ending.")],
    data: DataOption = _DATA,
    since: Annotated[str, typer.Option("--from", help="The first instant.")] = "1970-01-01",
    until: Annotated[str, typer.Option("--to", help="The instant to stop before.")] = "now",
    series: Annotated[
        str, typer.Option(help="One series: a signal and an entity, `reachability country:IR`.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Write bins into a file of `time, signal, entity, value, total`, as a replay reads them.

    Example: netwatch store export iran.csv --series "reachability country:IR" --from -7d
    """
    from netwatch.store.copying import export_bins

    now = datetime.now(UTC)
    span = (parse_instant(since, now=now), parse_instant(until, now=now))
    with closing(_open_raw(data)) as store:
        rows = export_bins(store, out, span, series=_series(series))
    if as_json:
        _print_json({"file": str(out), "rows": rows})
    else:
        _print(f"{out}: {rows:,} rows")


@app.command()
def copy(
    source: Annotated[str, typer.Argument(help="Where from: engine:location.")],
    target: Annotated[str, typer.Argument(help="Where to: engine:location.")],
    since: Annotated[
        str, typer.Option("--from", help="Begin here, not where an earlier copy stopped.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Copy a whole store into another of any engine; started again, it goes on.

    Example: netwatch store copy sqlite:data influx:http://netwatch:$TOKEN@127.0.0.1:8086/netwatch
    """
    from netwatch.store.copying import copy_store

    now = datetime.now(UTC)
    start = parse_instant(since, now=now) if since else None
    end = now + timedelta(days=1)
    with (
        closing(_open_address(source)) as from_store,
        closing(_open_address(target)) as to_store,
        _progress(from_store.closed_until() or now, quiet=as_json) as told,
    ):
        copied = copy_store(from_store, to_store, start=start, end=end, told=told)
    if as_json:
        _print_json({"bins": copied.bins, "levels": copied.levels})
    else:
        _print(f"{copied.bins:,} bins and {copied.levels:,} levels copied")


def _path(data: Path, tier: str) -> Path:
    """Return where a tier is kept; the raw one is the store that everything else reads."""
    return data / "series.sqlite" if tier == "raw" else data / tier / "series.sqlite"


def _raw_path(data: Path) -> Path:
    path = _path(data, "raw")
    if not path.exists():
        raise InputError(f"{path}: no store there; name the data folder with --data")
    return path


def _open_raw(data: Path) -> "SqliteStore":
    from netwatch.store.sqlite import SqliteStore

    return SqliteStore(_raw_path(data))


def _tiers(data: Path) -> "Iterator[tuple[str, SqliteStore]]":
    """Open one after another the tiers that exist."""
    from netwatch.store.rollup import TIERS
    from netwatch.store.sqlite import SqliteStore

    _raw_path(data)
    for tier in TIERS:
        if _path(data, tier.name).exists():
            yield tier.name, SqliteStore(_path(data, tier.name))


def _kept(keeps: "Mapping[str, timedelta]") -> "list[Tier]":
    """Return the tiers, kept as long as was asked for."""
    from netwatch.store.rollup import TIERS

    return [replace(tier, keep=keeps.get(tier.name, tier.keep)) for tier in TIERS]


def _open_address(address: str) -> "SeriesStore":
    engine, colon, location = address.partition(":")
    if not colon:
        raise InputError(f"{address!r} is no store; write engine:location, such as sqlite:data")
    store: SeriesStore = load_plugin("stores", engine).at(location)
    return store


def _series(text: str) -> SeriesKey | None:
    if not text:
        return None
    signal, _, entity = text.partition(" ")
    return SeriesKey(signal, Entity.parse(entity.strip()))


def _duration(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise InputError(str(error)) from error


@contextmanager
def _progress(last: datetime, *, quiet: bool) -> "Iterator[Callable[[Copied], None]]":
    """Show on stderr how far a copy has come; time tells, for rows are not counted ahead."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    begun: list[datetime] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        task = bar.add_task("copying", total=None)

        def told(copied: "Copied") -> None:
            begun[:] = begun or [copied.until - timedelta(hours=1)]
            bar.update(
                task,
                total=max((max(last, copied.until) - begun[0]).total_seconds(), 1.0),
                completed=(copied.until - begun[0]).total_seconds(),
                description=f"{copied.until:%Y-%m-%d %H:%M}  {copied.bins + copied.levels:,} rows",
            )

        yield told


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _print_json(value: object) -> None:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(f"{text.decode()}\n")
