"""Tables of text from CSV and Parquet files, a part at a time, and the line of each row."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from netwatch.model.errors import InputError

_ROWS = 200_000
"""Rows a part: the text of so many takes some 100 MB."""
_VECTORS = 100
"""The same in DuckDB's measure, 2,048 rows each."""
_PARQUET = ".parquet"


def read_table(path: Path) -> pd.DataFrame:
    """Return a file's columns as text, each row named by its line (`#` begins a comment).

    Raises:
        InputError: no such file, or no table.
    """
    table = pd.concat(list(read_parts(path)), ignore_index=True)
    lines = [] if path.suffix == _PARQUET else _lines(path)
    if len(lines) == len(table) + 1:
        return table.set_axis(lines[1:])
    return table.set_axis(range(2, len(table) + 2))


def read_parts(path: Path) -> Iterator[pd.DataFrame]:
    """Yield a file's columns as text, some rows at a time, numbered from 0 on.

    The file may be a CSV, compressed by gzip where its name ends in `.gz`, or Parquet.

    Raises:
        InputError: no such file, or no table.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        yield from _parquet_parts(path) if path.suffix == _PARQUET else _csv_parts(path)
    except (OSError, EOFError, zlib.error, ValueError, pd.errors.ParserError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "empty"
        raise InputError(f"{path}: cannot be read as a table: {reason}") from error


def line_of(path: Path, row: int) -> int:
    """Return the line on which row `row`, from 0 on, of a file stands; comments count."""
    if path.suffix != _PARQUET and path.is_file():
        lines = _lines(path)
        if row + 1 < len(lines):
            return lines[row + 1]
    return row + 2


def _lines(path: Path) -> list[int]:
    """Return the numbers of the lines that hold something."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    texts = data.decode("utf-8-sig").splitlines()
    return [number for number, text in enumerate(texts, 1) if text.partition("#")[0].strip()]


def _csv_parts(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the rows of a CSV."""
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
        # A header alone gives no part at all.
        yield pd.read_csv(path, dtype=str, comment="#", keep_default_na=False)


def _parquet_parts(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the rows of a Parquet file as text, as a CSV has them."""
    import duckdb  # noqa: PLC0415 - 130 ms that a CSV need not wait for

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
        raise InputError(f"{path}: no Parquet file: {str(error).splitlines()[0]}") from error
