"""Output files of a backtest, written atomically."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from netwatch.lab.backtest.time_grid import COLUMNS, Grid, Levels
from netwatch.model.entities import Entity
from netwatch.model.errors import InputError
from netwatch.model.incident import Incident
from netwatch.model.time import rfc3339


def write_backtest(levels: pd.DataFrame, incidents: Sequence[Incident], folder: Path) -> None:
    """Write `levels.parquet` and `incidents.json` into `folder`, both or neither.

    Raises:
        InputError: the folder cannot be written.
    """
    plain = [plain_incident(incident) for incident in incidents]
    text = json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    write_whole(
        folder,
        {
            "levels.parquet": lambda path: _write_parquet(levels, path),
            "incidents.json": text.encode(),
        },
    )


def long_levels(levels: Levels, grid: Grid, entities: Sequence[Entity]) -> pd.DataFrame:
    """Return the known levels, by time: columns time, entity, level, low, high, probability."""
    bins, rows = np.nonzero(np.isfinite(levels.level.T))
    times = pd.date_range(grid.start, periods=grid.bins, freq=pd.Timedelta(grid.width))
    names = pd.Index([str(entity) for entity in entities])
    columns = {name: getattr(levels, name)[rows, bins] for name in COLUMNS}
    return pd.DataFrame({"time": times[bins], "entity": names[rows]} | columns)


def write_whole(folder: Path, files: Mapping[str, bytes | Callable[[Path], None]]) -> None:
    """Write several files, their content or a function that writes it, all or none.

    They are written under temporary names and then renamed.

    Raises:
        InputError: the folder cannot be written.
    """
    partial = {folder / name: folder / f".{name}.{os.getpid()}.partial" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in zip(partial.values(), files.values(), strict=True):
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                content(path)
        for name, path in partial.items():
            path.replace(name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        if folder.is_dir():
            for path in partial.values():
                path.unlink(missing_ok=True)


def _write_parquet(levels: pd.DataFrame, path: Path) -> None:
    import duckdb  # noqa: PLC0415 - slow to import

    try:
        with duckdb.connect() as connection:
            connection.register("levels", levels)
            target = str(path).replace("'", "''")
            connection.execute(f"copy levels to '{target}' (format parquet, compression zstd)")
    except duckdb.IOException as error:
        raise OSError(0, str(error).splitlines()[0]) from error


def plain_incident(incident: Incident) -> dict[str, object]:
    """Return an incident as `incidents.json` has it; times are ISO 8601 UTC."""
    trough = incident.trough
    return {
        "id": incident.id,
        "entity": str(incident.entity),
        "started_at": rfc3339(incident.started_at),
        "started_low": rfc3339(incident.started_low),
        "started_high": rfc3339(incident.started_high),
        "ended_at": rfc3339(incident.ended_at),
        "provisional_at": rfc3339(incident.provisional_at),
        "confirmed_at": rfc3339(incident.confirmed_at),
        "trough": {
            "level": trough.value / 100,
            "low": trough.low / 100,
            "high": trough.high / 100,
            "at": rfc3339(incident.trough_at),
        },
        "signals": [name for name, agrees in incident.signals if agrees],
        "pattern": incident.details.pattern.name if incident.details.pattern else None,
        "parent": incident.merged_into,
        "children": [
            {
                "entity": str(child.entity),
                "started_at": rfc3339(child.started_at),
                "ended_at": rfc3339(child.ended_at),
            }
            for child in sorted(incident.affected, key=lambda one: (one.started_at, one.entity))
        ],
    }
