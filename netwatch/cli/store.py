"""`netwatch store`: maintain the stored series."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from netwatch.app.data_files import (
    BATCHES_FILE,
    LEDGER_FILE,
    PRESENCE_FILE,
)
from netwatch.app.factories import open_store
from netwatch.app.fleet_admin import accept_file, open_batch_log
from netwatch.app.wall_clock import now
from netwatch.cli.observatory import ObservatoryOption
from netwatch.cli.options import DataOption, JsonOption, YesOption
from netwatch.cli.output import emit, progress_bar
from netwatch.cli.time_parsing import parse_duration, parse_instant
from netwatch.model.duration import Duration
from netwatch.model.entities import Entity
from netwatch.model.errors import InputError
from netwatch.model.series import SeriesKey
from netwatch.plugins import load_plugin
from netwatch.protocols import MaintainedStore, SeriesStore
from netwatch.storage.origin import find_damage
from netwatch.store.check_and_prune import Stats
from netwatch.store.copy import CopyProgress, copy_store, export_bins
from netwatch.store.migration import migrate as migrate_store
from netwatch.store.rollup import RESOLUTIONS
from netwatch.store.schema import BINS
from netwatch.store.sqlite import SqliteStore

app = typer.Typer(help="Maintain the stored series.", no_args_is_help=True)

FolderOption = Annotated[Path, typer.Option("--data", "-d", help="The data folder.")]
_DATA = Path("data")


@app.command()
def check(
    data: FolderOption = _DATA,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Rename damaged files, and log it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read everything once and name what is damaged; exit 1 if something is.

    Example: netwatch store check --data data
    """
    rows, lines = [], []
    for name in (BATCHES_FILE, LEDGER_FILE, PRESENCE_FILE):
        if fault := find_damage(data / name):
            rows.append({"resolution": "", "file": name, "fault": fault, "quarantined": False})
            lines.append(f"{name}: {fault}")
    for name, store in _stores(data):
        for damage in store.check(quarantine=quarantine):
            rows.append({"resolution": name, **msgspec.to_builtins(damage)})
            suffix = "; quarantined" if damage.quarantined else ""
            lines.append(f"{name}: {damage.file}: {damage.fault}{suffix}")
    emit(rows, lines or ["no damage"], as_json=as_json)
    if rows:
        raise typer.Exit(1)


@app.command()
def rebuild(config: ObservatoryOption, as_json: JsonOption = False) -> None:
    """Rename damaged files of days, and have their bins counted again from the batch log.

    The collector counts them, now or when it starts. Levels are not computed again.
    Example: netwatch store rebuild --config netwatch.toml
    """
    rows, lines = [], []
    with (
        closing(SqliteStore(_path(Path(config.data)))) as store,
        open_batch_log(config) as batch_log,
    ):
        for damage in store.check(quarantine=True):
            is_counted = damage.quarantined and f".{BINS.name}." in damage.file
            if is_counted:
                start = parse_instant(damage.file[: len("2026-01-01")], now=now())
                end = start + timedelta(days=1)
                is_counted = batch_log.recount(start, end, width=config.analysis.bin)
            rows.append({**msgspec.to_builtins(damage), "counted_again": is_counted})
            result = "its bins are counted again" if is_counted else "nothing to count it from"
            lines.append(f"{damage.file}: {damage.fault}; {result}")
    emit(rows, lines or ["no damage"], as_json=as_json)


@app.command()
def compact(
    data: FolderOption = _DATA,
    keep: Annotated[str, typer.Option(help="How long days stay open after they end.")] = "2d",
    as_json: JsonOption = False,
) -> None:
    """Move past days into Parquet files, a fifth of the size.

    Example: netwatch store compact --keep 2d
    """
    rows, lines, keep_open = [], [], parse_duration(keep, "--keep", Duration)
    for name, store in _stores(data):
        for entry in store.compact(keep=keep_open):
            rows.append({"resolution": name, **msgspec.to_builtins(entry)})
            lines.append(f"{name}: {entry.file}: {entry.rows:,} rows, {entry.bytes:,} bytes")
    emit(rows, lines or ["nothing to compact"], as_json=as_json)


@app.command()
def stats(data: FolderOption = _DATA, as_json: JsonOption = False) -> None:
    """Print what is stored, for which time, and its size on disk.

    Example: netwatch store stats
    """
    stats_by_resolution = {name: store.stats() for name, store in _stores(data)}
    lines = [
        line for name, one in stats_by_resolution.items() for line in _describe_stats(name, one)
    ]
    emit(stats_by_resolution, lines, as_json=as_json)


@app.command()
def prune(
    config: ObservatoryOption,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compact past days, roll old bins up, and drop what is past its configured retention.

    Example: netwatch store prune --config netwatch.toml
    """
    if data is not None:
        config = msgspec.structs.replace(config, data=str(data))
    if config.store.engine == "sqlite":
        _path(Path(config.data))
    with closing(open_store(config)) as store:
        done = store.maintain(now()) if isinstance(store, MaintainedStore) else []
    lines = [
        f"{one.resolution}: {one.written:,} rows written, {one.dropped:,} dropped" for one in done
    ]
    emit(done, lines, as_json=as_json)


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="The file; its suffix says Parquet or CSV.")],
    data: FolderOption = _DATA,
    since: Annotated[str, typer.Option("--from", help="Start of the span.")] = "1970-01-01",
    until: Annotated[str, typer.Option("--to", help="End of the span, exclusive.")] = "now",
    series: Annotated[
        str, typer.Option(help="One series: a signal and an entity, `reachability country:IR`.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Write bins to a file of `time, signal, entity, value, total`, as a replay reads them.

    Example: netwatch store export iran.csv --series "reachability country:IR" --from -7d
    """
    present = now()
    span = (parse_instant(since, now=present), parse_instant(until, now=present))
    with closing(SqliteStore(_path(data))) as store:
        rows = export_bins(store, out, span, series=_series(series))
    emit({"file": str(out), "rows": rows}, [f"{out}: {rows:,} rows"], as_json=as_json)


@app.command()
def copy(
    source: Annotated[str, typer.Argument(help="The source, as engine:location.")],
    target: Annotated[str, typer.Argument(help="The target, as engine:location.")],
    since: Annotated[
        str, typer.Option("--from", help="Begin here, not where an earlier copy stopped.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Copy a whole store into another of any engine; started again, it continues.

    Example: netwatch store copy sqlite:data influx:http://netwatch:$TOKEN@127.0.0.1:8086/netwatch
    """
    present, begun = now(), list[datetime]()
    start = parse_instant(since, now=present) if since else None
    with (
        closing(_open_address(source)) as from_store,
        closing(_open_address(target)) as to_store,
        progress_bar("Copying", quiet=as_json) as show,
    ):
        closed = from_store.closed_until() or present

        def report(copied: CopyProgress) -> None:
            """Show how far the copy is by time, since rows are not counted ahead."""
            begun[:] = begun or [copied.until - timedelta(hours=1)]
            share = (copied.until - begun[0]) / (max(closed, copied.until) - begun[0])
            rows = copied.bins + copied.levels
            show(share, f"{copied.until:%Y-%m-%d %H:%M}  {rows:,} rows")

        end = present + timedelta(days=1)
        copied = copy_store(from_store, to_store, start=start, end=end, report=report)
    lines = [f"{copied.bins:,} bins and {copied.levels:,} levels copied"]
    emit({"bins": copied.bins, "levels": copied.levels}, lines, as_json=as_json)


@app.command()
def migrate(data: FolderOption = _DATA, as_json: JsonOption = False) -> None:
    """Convert stores of format 1, with blocks of series, to the present format.

    Example: netwatch store migrate --data data
    """
    rows = {name: migrate_store(path) for name, path in _paths(data)}
    lines = [f"{name}: {count:,} open rows converted" for name, count in rows.items()]
    emit(rows, lines, as_json=as_json)


@app.command()
def accept(
    name: Annotated[str, typer.Argument(help="The file, such as batches.sqlite or collector.key.")],
    data: FolderOption = _DATA,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go on without a file that is missing, damaged, outdated or of another observatory.

    Stop netwatch first. A damaged file is renamed. Without `batches.sqlite` all agents have to
    enroll again; without `ledger.sqlite` incidents are found, and posts sent, once more.
    Example: netwatch store accept batches.sqlite
    """
    if not yes:
        typer.confirm(f"Go on without what is lost of {name}?", abort=True)
    meaning = accept_file(data, name)
    line = f"{name}: {meaning or 'nothing is wrong with it'}"
    emit({"file": name, "accepted": bool(meaning)}, [line], as_json=as_json)


def _path(data: Path) -> Path:
    path = data / "series.sqlite"
    if not path.exists():
        raise InputError(f"{path}: no store there; name the data folder with --data")
    return path


def _paths(data: Path) -> Iterator[tuple[str, Path]]:
    raw = _path(data)
    for resolution in RESOLUTIONS:
        path = raw if resolution.width is None else data / resolution.name / raw.name
        if path.exists():
            yield resolution.name, path


def _stores(data: Path) -> Iterator[tuple[str, SqliteStore]]:
    for name, path in _paths(data):
        with closing(SqliteStore(path)) as store:
            yield name, store


def _describe_stats(name: str, stored: Stats) -> Iterator[str]:
    closed = f"{stored.closed_until:%Y-%m-%d %H:%M} UTC" if stored.closed_until else "never"
    if stored.closed_until and stored.closed_until > now():
        closed += ", which is in the future: a clock was or is wrong"
    size = f"open days {stored.file_bytes:,} bytes"
    yield f"{name}: {stored.series:,} series, complete until {closed}, {size}"
    for kind, table in (("bins", stored.bins), ("levels", stored.levels)):
        span = f"{table.first:%Y-%m-%d} to {table.last:%Y-%m-%d}" if table.first else "none"
        yield (
            f"  {kind}: {span}; open {table.open_rows:,} rows; compacted {table.compacted_days} "
            f"days, {table.compacted_rows:,} rows, {table.compacted_bytes:,} bytes"
        )


def _open_address(address: str) -> SeriesStore:
    engine, colon, location = address.partition(":")
    if not colon:
        raise InputError(f"{address!r} is not a store; write engine:location, such as sqlite:data")
    store: SeriesStore = load_plugin("stores", engine).at(location)
    return store


def _series(text: str) -> SeriesKey | None:
    if not text:
        return None
    signal, _, entity = text.partition(" ")
    return SeriesKey(signal, Entity.parse(entity.strip()))
