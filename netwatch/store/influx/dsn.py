"""Where an InfluxDB server is and who we are there, from configuration or from an address."""

from dataclasses import dataclass
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
    """Where a server is, and who we are there.

    Attributes:
        url: `http://host:8086` or `https://…`.
        database: the database; on 2.x the bucket.
        username: any name will do where `password` is a token.
        password: the password on 1.x, the API token on 2.x and 3.
        organization: needed by 2.x alone.
        authority: file with the certificates that TLS trusts; empty for the usual ones.
        timeout: seconds that one request may take.
    """

    url: str
    database: str = "netwatch"
    username: str = "netwatch"
    password: str = ""
    organization: str = ""
    authority: str = ""
    timeout: float = 20.0

    @property
    def place(self) -> str:
        """The server's address for messages, without anything secret."""
        url = httpx.URL(self.url)
        return f"{url.scheme}://{url.netloc.decode('ascii')}"


def dsn_of(options: InfluxOptions) -> InfluxDsn:
    """Return what `[stores.influx]` says; a password `$NAME` is read from the environment.

    Raises:
        ConfigError: the address is no http(s) URL, or that variable is not set.
    """
    if not options.url.startswith(("http://", "https://")):
        raise ConfigError(f"url: {options.url!r} is not an http:// or https:// address")
    return InfluxDsn(
        url=options.url,
        database=options.database,
        username=options.username,
        password=resolve_secret(options.password, key="password"),
        organization=options.organization,
        authority=options.ca_file,
    )


def dsn_at(location: str) -> InfluxDsn:
    """Return what `http://user:password@host:8086/database?organization=…` says.

    The password may be `$NAME` for an environment variable, so that no secret has to stand
    on a command line; `organization` and `authority` follow a question mark.

    Raises:
        ConfigError: no such address, or that variable is not set.
    """
    parts = urlsplit(location)
    database = unquote(parts.path.strip("/"))
    if parts.scheme not in {"http", "https"} or not parts.hostname or not database:
        raise ConfigError("an InfluxDB's location is http://user:password@host:8086/database")
    further = parse_qs(parts.query)
    return InfluxDsn(
        url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        database=database,
        username=unquote(parts.username or "netwatch"),
        password=resolve_secret(unquote(parts.password or ""), key="the location's password"),
        organization=further.get("organization", [""])[0],
        authority=further.get("authority", [""])[0],
    )
