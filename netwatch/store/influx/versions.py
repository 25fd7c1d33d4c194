"""Differences between the versions of InfluxDB.

Sources: the servers' own code and documentation for 1.6 to 1.12, 2.4 to 2.9 and 3 Core.
"""

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from netwatch.model.errors import StoreError

_CREATE = {
    "1": "influx -execute 'CREATE DATABASE \"{name}\"'",
    "2": "influx bucket create --name {name}",
    "3": "influxdb3 create database {name}",
}
"""By major version, the command that creates a database."""
_LONGEST_SPAN = timedelta(hours=72)
"""3 Core opens at most 432 files of ten minutes in a query by default."""


class Dialect(msgspec.Struct, frozen=True):
    """Features of one server.

    Attributes:
        version: without a leading v.
        takes_v2_writes: `/api/v2/write` exists; else `/write` is used.
        overwrites: writing a point again replaces its fields. Where it does not (3 Core
            calls the outcome undefined), a changed value needs a point of its own.
        longest_span: one query may cover this much time; None for any.
        create: the command that creates a missing database, with `{name}` for its name.
    """

    version: str
    takes_v2_writes: bool
    overwrites: bool
    longest_span: timedelta | None
    create: str


def read_dialect(headers: Mapping[str, str]) -> Dialect:
    """Return the dialect of the server that answered `/ping` with `headers`.

    Raises:
        StoreError: the server is not an InfluxDB of version 1.6 to 3.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    version = lower.get("x-influxdb-version", "").removeprefix("v")
    major, minor = (*version.split("."), "", "")[:2]
    is_1 = major == "1" and minor.isdigit() and int(minor) >= 6
    if is_1 or major in _CREATE.keys() - {"1"}:
        return Dialect(
            version,
            takes_v2_writes=not is_1 or int(minor) >= 8,
            overwrites=major != "3",
            longest_span=_LONGEST_SPAN if major == "3" else None,
            create=_CREATE[major],
        )
    found = f"version {version!r}" if version else "no version"
    raise StoreError(f"the server has {found}; InfluxDB 1.6 to 3 is needed")
