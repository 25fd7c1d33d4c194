"""Address and credentials of an InfluxDB server, from configuration or from one URL."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from netwatch.config import resolve_secret
from netwatch.model.duration import PositiveDuration
from netwatch.model.errors import ConfigError
from netwatch.plugins import Section


class InfluxOptions(Section, frozen=True):
    """`[stores.influx]`.

    On InfluxDB 2 `database` is the bucket; on 2 and 3 `password` is the API token. A password
    that begins with `$` names an environment variable. `ca_file` holds the certificates that
    TLS trusts in place of the system's. Hourly bins are written to `rollup_database`, if set.
    """

    url: str = "http://127.0.0.1:8086"
    database: str = "netwatch"
    username: str = "netwatch"
    password: str = ""
    organization: str = ""
    ca_file: str = ""
    timeout: PositiveDuration = PositiveDuration(seconds=5)
    rollup_database: str = ""


@dataclass(frozen=True, slots=True)
class InfluxDsn:
    """Address and credentials of a server.

    Attributes:
        url: `http://host:8086` or `https://…`.
        database: the database; on 2.x the bucket.
        username: any name if `password` is a token.
        password: the password on 1.x, the API token on 2.x and 3.
        organization: needed by 2.x alone.
        ca_file: certificates that TLS trusts; empty for the system's.
        timeout: seconds that one request may take.
    """

    url: str
    database: str = "netwatch"
    username: str = "netwatch"
    password: str = ""
    organization: str = ""
    ca_file: str = ""
    timeout: float = 20.0

    @classmethod
    def from_options(cls, options: InfluxOptions) -> Self:
        """Return the server of `[stores.influx]`; a password `$NAME` is read from the environment.

        Raises:
            ConfigError: the address is not an http(s) URL, or that variable is not set.
        """
        if not options.url.startswith(("http://", "https://")):
            raise ConfigError(f"url: {options.url!r} is not an http:// or https:// address")
        return cls(
            url=options.url,
            database=options.database,
            username=options.username,
            password=resolve_secret(options.password, key="password"),
            organization=options.organization,
            ca_file=options.ca_file,
        )

    @classmethod
    def parse(cls, location: str) -> Self:
        """Return the server at `http://user:password@host:8086/database?organization=…`.

        The password may be `$NAME` for an environment variable, so that a command line need not
        have a secret; `organization` and `ca_file` are parameters.

        Raises:
            ConfigError: not such an address, or that variable is not set.
        """
        parts = urlsplit(location)
        database = unquote(parts.path.strip("/"))
        if parts.scheme not in {"http", "https"} or not parts.hostname or not database:
            raise ConfigError("an InfluxDB's location is http://user:password@host:8086/database")
        parameters = parse_qs(parts.query)
        return cls(
            url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            database=database,
            username=unquote(parts.username or "netwatch"),
            password=resolve_secret(unquote(parts.password or ""), key="the location's password"),
            organization=parameters.get("organization", [""])[0],
            ca_file=parameters.get("ca_file", [""])[0],
        )

    @property
    def address(self) -> str:
        """The server's address for messages, without credentials."""
        url = httpx.URL(self.url)
        return f"{url.scheme}://{url.netloc.decode('ascii')}"
