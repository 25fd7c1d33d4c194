"""Address and credentials of an InfluxDB server, from configuration or from one URL."""

from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import msgspec

from netwatch.config import resolve_secret
from netwatch.model.duration import PositiveDuration
from netwatch.model.errors import ConfigError
from netwatch.model.plaintext import refuse_plaintext
from netwatch.plugins import Section


class InfluxDsn(Section, frozen=True):
    """`[stores.influx]`: address and credentials of a server.

    Attributes:
        url: `http://host:8086` or `https://…`.
        database: the database; on 2.x the bucket.
        username: any name if `password` is a token.
        password: the password on 1.x, the API token on 2.x and 3.
        organization: needed by 2.x alone.
        ca_file: certificates that TLS trusts in place of the system's.
        timeout: how long the observatory retries one request.
        rollup_database: where hourly bins are written; empty for nowhere.
        insecure: whether `http://` may lead to another machine.
    """

    url: str = "http://127.0.0.1:8086"
    database: str = "netwatch"
    username: str = "netwatch"
    password: str = ""
    organization: str = ""
    ca_file: str = ""
    timeout: PositiveDuration = PositiveDuration(seconds=5)
    rollup_database: str = ""
    insecure: bool = False

    def resolve(self) -> Self:
        """Return the same with a password `$NAME` read from the environment.

        Raises:
            ConfigError: the address is not an http(s) URL, it would send the password in
                plaintext to another machine, or that variable is not set.
        """
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"url: {self.url!r} is not an http:// or https:// address")
        refuse_plaintext(self.url, key="url", insecure=self.insecure)
        password = resolve_secret(self.password, key="password")
        return msgspec.structs.replace(self, password=password)

    @classmethod
    def parse(cls, location: str) -> Self:
        """Return the server at `http://user:password@host:8086/database?organization=…`.

        The password may be `$NAME` for an environment variable, so that a command line need not
        have a secret; `organization`, `ca_file` and `insecure=true` are parameters.

        Raises:
            ConfigError: not such an address, or as `resolve` does.
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
            password=unquote(parts.password or ""),
            organization=parameters.get("organization", [""])[0],
            ca_file=parameters.get("ca_file", [""])[0],
            insecure=parameters.get("insecure") == ["true"],
        ).resolve()

    @property
    def address(self) -> str:
        """The server's address for messages, without credentials."""
        url = httpx.URL(self.url)
        return f"{url.scheme}://{url.netloc.decode('ascii')}"
