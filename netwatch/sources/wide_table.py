"""Past figures as a wide table: a row a time, a column a region, places in a second file."""

from pathlib import Path

import pandas as pd

from netwatch.model.signals import PROBING
from netwatch.sources.long_table import LongForm, make_longform
from netwatch.sources.table_reader import read_table


def read_wide(figures: Path, places: Path, *, signal: str = PROBING) -> LongForm:
    """Return the figures of a wide table, whose columns are region codes, as long form.

    Raises:
        InputError: either file cannot be used; the text names the place.
    """
    wide = read_table(figures)
    long = wide.melt(id_vars="time", var_name="entity", value_name="value")
    long["entity"] = "region:" + long["entity"].astype(str)
    long["signal"] = signal
    known = read_table(places)
    long = pd.concat([long.merge(known, on="entity", how="left"), _rows_without_values(known)])
    return make_longform(long.fillna(""), figures)


def _rows_without_values(known: pd.DataFrame) -> pd.DataFrame:
    """Return rows that describe places without saying anything about their figures."""
    rows = known.copy()
    rows["time"], rows["value"], rows["signal"] = "1970-01-01T00:00Z", "", "places"
    return rows
