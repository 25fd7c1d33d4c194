"""The one place that knows how InfluxDB's versions differ.

Sources: the servers' own code and documentation for 1.6 to 1.12, 2.4 to 2.9 and 3 Core.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from netwatch.model.errors import StoreError


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one server can do.

    Attributes:
        version: as the server says it, without a leading v.
        takes_v2_writes: `/api/v2/write` exists; else `/write` is used.
        overwrites: writing a point again replaces its fields. Where it does not (3 Core
            calls the outcome undefined), a changed value needs a point of its own.
        longest_span: one query may cover this much time; None for any.
        create: the command that makes a missing database, with `{name}` for its name.
    """

    version: str
    takes_v2_writes: bool
    overwrites: bool
    longest_span: timedelta | None
    create: str


def read_dialect(headers: Mapping[str, str]) -> Dialect:
    """Return the dialect of the server that answered `/ping` with `headers`.

    Raises:
        StoreError: whatever answered is no InfluxDB of version 1.6 to 3.
    """
    told = {name.lower(): value for name, value in headers.items()}
    version = told.get("x-influxdb-version", "").removeprefix("v")
    numbers = version.split(".")
    major = numbers[0]
    minor = int(numbers[1]) if len(numbers) > 1 and numbers[1].isdigit() else 0
    if major == "1" and minor >= 6:
        create = "influx -execute 'CREATE DATABASE \"{name}\"'"
        return Dialect(
            version, takes_v2_writes=minor >= 8, overwrites=True, longest_span=None, create=create
        )
    if major == "2":
        create = "influx bucket create --name {name}"
        return Dialect(
            version, takes_v2_writes=True, overwrites=True, longest_span=None, create=create
        )
    if major == "3":
        # 432 files of ten minutes each are what a query may open by default.
        create = "influxdb3 create database {name}"
        return Dialect(
            version,
            takes_v2_writes=True,
            overwrites=False,
            longest_span=timedelta(hours=72),
            create=create,
        )
    said = f"version {version!r}" if version else "no version"
    raise StoreError(f"the server says {said}; InfluxDB 1.6 to 3 is needed")
