"""The past shutdowns that come with netwatch, by name."""

from datetime import timedelta
from importlib.resources import as_file, files
from pathlib import Path

from netwatch.model.errors import InputError
from netwatch.sources.bgp_jsonl import ENDINGS, read_bgplines
from netwatch.sources.long_table import LongForm, read_longform
from netwatch.sources.wide_table import read_wide

_FOLDER = "netwatch.lab.sample_data.figures"
_SOURCES = {"iran-2019-11": "Monash IP Observatory (sodalabsio/shared_data)"}


def figures_source(name: str) -> str:
    """Return who measured a shipped table; for a file, its name."""
    return _SOURCES.get(name, Path(name).name)


def shipped_names() -> list[str]:
    """Return the names of the tables that come with netwatch."""
    ending = ".places.csv"
    names = (entry.name for entry in files(_FOLDER).iterdir())
    return sorted(name.removesuffix(ending) for name in names if name.endswith(ending))


def open_figures(name: str, *, width: timedelta | None = None) -> LongForm:
    """Return the shipped table called `name`, or the figures in the file at that path.

    A file of announce and withdraw lines becomes the visible routes of its networks.

    Raises:
        InputError: neither a shipped name nor a usable file.
    """
    if name in shipped_names():
        folder = files(_FOLDER)
        with (
            as_file(folder / f"{name}.csv") as figures,
            as_file(folder / f"{name}.places.csv") as places,
        ):
            return read_wide(figures, places)
    path = Path(name)
    if not path.exists():
        shipped = ", ".join(shipped_names())
        raise InputError(f"{name}: no such file; tables that come with netwatch: {shipped}")
    if path.suffix in ENDINGS:
        return read_bgplines(path, width=width)
    return read_longform(path, width=width)
