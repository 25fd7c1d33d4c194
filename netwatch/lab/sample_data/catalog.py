"""Recorded series: the data sets that come with netwatch, by name, and files."""

from datetime import timedelta
from importlib.resources import as_file, files
from pathlib import Path

from netwatch.app.factories import make_sources
from netwatch.config import Config
from netwatch.model.errors import InputError
from netwatch.sources.long_table import LongTableSource, SeriesTable, as_series_table
from netwatch.sources.wide_table import read_wide_table

_FOLDER = "netwatch.lab.sample_data"
_CREDITS = {"iran-2019-11": "Monash IP Observatory (sodalabsio/shared_data)"}


def series_source(name: str) -> str:
    """Return who measured a data set; for a file, the file's name."""
    return _CREDITS.get(name, Path(name).name)


def shipped_names() -> list[str]:
    """Return the names of the data sets that come with netwatch."""
    suffix = ".places.csv"
    names = (entry.name for entry in files(_FOLDER).iterdir())
    return sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix))


def open_series(name: str, *, width: timedelta | None = None) -> SeriesTable:
    """Return the data set called `name`, or the series in the file at that path.

    The suffix of a file selects the source that reads it; by default it is a CSV.

    Raises:
        InputError: `name` is neither a data set nor a readable file.
    """
    if name in shipped_names():
        folder = files(_FOLDER)
        with (
            as_file(folder / f"{name}.csv") as series,
            as_file(folder / f"{name}.places.csv") as places,
        ):
            return read_wide_table(series, places)
    path = Path(name)
    if not path.exists():
        shipped = ", ".join(shipped_names())
        raise InputError(f"{name}: no such file; data sets that come with netwatch: {shipped}")
    for source in make_sources(Config()).values():
        if path.name.endswith(tuple(source.suffixes)):
            return as_series_table(source.read(path, width=width))
    return LongTableSource().read(path, width=width)
