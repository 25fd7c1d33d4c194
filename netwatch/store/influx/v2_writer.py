"""Writes to `/api/v2/write` of InfluxDB 1.8 and later, 2.x and 3 Core by `influxdb-client`."""

from influxdb_client import InfluxDBClient, WriteService
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from netwatch.model.errors import StoreError
from netwatch.store.influx.client import REQUEST_TIMEOUT
from netwatch.store.influx.dsn import InfluxDsn
from netwatch.store.influx.reply import Reply, RetryableError
from netwatch.store.influx.versions import Dialect


class V2Writer:
    """Sends compressed line protocol to one database.

    Raises:
        StoreError: 2.x needs an organization and none is set.
    """

    def __init__(self, dsn: InfluxDsn, dialect: Dialect) -> None:
        if dialect.version.startswith("2.") and not dsn.organization:
            raise StoreError(f"{dsn.address} is InfluxDB 2, which needs an organization")
        is_1 = dialect.version.startswith("1.")
        self._organization = dsn.organization or "-"
        self._bucket = dsn.database
        self._client = InfluxDBClient(
            url=dsn.url.rstrip("/"),
            token=f"{dsn.username}:{dsn.password}" if is_1 else dsn.password,
            org=self._organization,
            timeout=int(REQUEST_TIMEOUT * 1000),
            ssl_ca_cert=dsn.ca_file or None,
        )
        self._service = WriteService(self._client.api_client)

    def write(self, body: bytes) -> Reply:
        """Write the gzipped lines in `body` once.

        Raises:
            RetryableError: the server cannot be reached or did not answer in time.
        """
        try:
            self._service.post_write(
                self._organization,
                self._bucket,
                body,
                precision="ns",
                content_encoding="gzip",
                content_type="text/plain; charset=utf-8",
            )
        except ApiException as error:
            if not error.status:  # a failed TLS handshake
                reason = " ".join(str(error.reason).split())
                raise RetryableError(f"{type(error).__name__}: {reason}") from error
            content = error.body or b""
            answer = content.encode() if isinstance(content, str) else bytes(content)
            return Reply.parse(int(error.status), answer, dict(error.headers or {}))
        except (HTTPError, OSError) as error:
            raise RetryableError(f"{type(error).__name__}: {error}") from error
        return Reply(status=204)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
