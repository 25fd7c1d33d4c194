"""Reads CSV and Parquet files as tables of text, in parts, and finds the line of a row."""

import gzip
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd

from netwatch.model.errors import InputError, NetwatchError, one_line
from netwatch.model.foreign_bytes import decode_foreign

_ROWS = 200_000
"""Rows of a part; their text takes about 100 MB."""
_VECTORS = 100
"""Rows of a part of a Parquet file, in DuckDB's vectors of 2,048 rows."""
_PARQUET = ".parquet"


def read_table(path: Path) -> pd.DataFrame:
    """Return a file's columns as text, indexed by line number (`#` begins a comment).

    Raises:
        InputError: the file does not exist or is not a table.
    """
    table = pd.concat(list(read_parts(path)), ignore_index=True)
    is_text = path.suffix != _PARQUET
    lines = decode_foreign(path, _lines, what=str(path)) if is_text else []
    if len(lines) == len(table) + 1:
        return table.set_axis(lines[1:])
    return table.set_axis(range(2, len(table) + 2))


def read_parts(path: Path) -> Iterator[pd.DataFrame]:
    """Yield a file's columns as text, in parts; rows are numbered from 0.

    The file is a CSV, compressed by gzip if its name ends in `.gz`, or Parquet.

    Raises:
        InputError: the file does not exist or is not a table.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        yield from _parquet_parts(path) if path.suffix == _PARQUET else _csv_parts(path)
    except NetwatchError:
        raise
    except Exception as error:
        raise InputError(f"{path}: cannot be read as a table: {one_line(error)}") from error


def line_of(path: Path, row: int) -> int:
    """Return the line number of row `row` (from 0); comments and empty lines count."""
    with suppress(InputError, OSError):
        if path.suffix != _PARQUET and path.is_file():
            lines = decode_foreign(path, _lines, what=str(path))
            return lines[row + 1] if row + 1 < len(lines) else row + 2
    return row + 2


def _lines(path: Path) -> list[int]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    texts = data.decode("utf-8-sig", "replace").splitlines()
    return [number for number, text in enumerate(texts, 1) if text.partition("#")[0].strip()]


def _csv_parts(path: Path) -> Iterator[pd.DataFrame]:
    some = False
    with pd.read_csv(
        path, dtype=str, comment="#", keep_default_na=False, chunksize=_ROWS
    ) as reader:
        for part in reader:
            if not isinstance(part.index, pd.RangeIndex):
                raise InputError(f"{path}: rows have more cells than there are columns")
            some = True
            yield part
    if not some:
        # pandas yields no part for a file with a header only.
        yield pd.read_csv(path, dtype=str, comment="#", keep_default_na=False)


def _parquet_parts(path: Path) -> Iterator[pd.DataFrame]:
    import duckdb  # noqa: PLC0415 - takes 130 ms, and a CSV does not need it

    first = 0
    try:
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            found = connection.execute(
                "select columns(*)::varchar from read_parquet(?)", [str(path)]
            )
            part: pd.DataFrame = found.fetch_df_chunk(_VECTORS)
            yield part.fillna("")
            while len(part):
                first += len(part)
                part = found.fetch_df_chunk(_VECTORS)
                yield part.fillna("").set_axis(range(first, first + len(part)))
    except duckdb.Error as error:
        raise InputError(f"{path}: not a Parquet file: {one_line(error)}") from error
