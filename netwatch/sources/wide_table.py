"""Series as a wide table: one row per time, one column per region, entities in a second file."""

from pathlib import Path

import pandas as pd

from netwatch.model.signals import PROBING
from netwatch.sources.long_table import SeriesTable, make_series_table
from netwatch.sources.table_reader import read_table


def read_wide_table(path: Path, places: Path, *, signal: str = PROBING) -> SeriesTable:
    """Return the series of a wide table, whose columns are region codes.

    Raises:
        InputError: either file cannot be used; the text names file and line.
    """
    wide = read_table(path)
    long = wide.melt(id_vars="time", var_name="entity", value_name="value")
    long["entity"] = "region:" + long["entity"].astype(str)
    long["signal"] = signal
    known = read_table(places)
    long = pd.concat([long.merge(known, on="entity", how="left"), _rows_without_values(known)])
    return make_series_table(long.fillna(""), path)


def _rows_without_values(known: pd.DataFrame) -> pd.DataFrame:
    rows = known.copy()
    rows["time"], rows["value"], rows["signal"] = "1970-01-01T00:00Z", "", "places"
    return rows
