"""Features of each version, as servers and their documentation have them."""

from datetime import timedelta

import pytest

from netwatch.model.errors import StoreError
from netwatch.store.influx.client import InfluxClient
from netwatch.store.influx.dsn import InfluxDsn
from netwatch.store.influx.reply import Reply
from netwatch.store.influx.versions import read_dialect


@pytest.mark.parametrize(
    ("header", "version", "v2_writes", "overwrites", "span"),
    [
        ("1.6.7~rc0", "1.6.7~rc0", False, True, None),
        ("1.7.11", "1.7.11", False, True, None),
        ("1.8.10", "1.8.10", True, True, None),
        ("v1.12.4", "1.12.4", True, True, None),
        ("v2.9.1", "2.9.1", True, True, None),
        ("2.4.0", "2.4.0", True, True, None),
        ("3.11.2", "3.11.2", True, False, timedelta(hours=72)),
    ],
)
def test_features_by_version(
    header: str, version: str, *, v2_writes: bool, overwrites: bool, span: timedelta | None
) -> None:
    dialect = read_dialect({"X-Influxdb-Version": header})
    assert dialect.version == version
    assert dialect.takes_v2_writes == v2_writes
    assert dialect.overwrites == overwrites
    assert dialect.longest_span == span


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "has no version"),
        ({"X-Influxdb-Version": "unknown"}, "has version 'unknown'"),
        ({"X-Influxdb-Version": "1.5.4"}, "has version '1.5.4'"),
        ({"X-Influxdb-Version": "relay"}, "has version 'relay'"),
    ],
)
def test_anything_else_is_refused_by_name(headers: dict[str, str], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        read_dialect(headers)


def test_version_2_needs_an_organization() -> None:
    dialect = read_dialect({"x-influxdb-version": "2.9.1"})
    client = InfluxClient(InfluxDsn("http://127.0.0.1:9"), dialect=dialect)
    with pytest.raises(StoreError, match="InfluxDB 2, which needs an organization"):
        client.write(["a v=1 1"])
    client.close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"database not found: \\"x\\""}', 'database not found: "x"'),
        (b'{"code":"not found","message":"bucket \\"x\\" not found"}', 'bucket "x" not found'),
        (b"<h1>Bad\n  Gateway</h1>", "<h1>Bad Gateway</h1>"),
        (b"", ""),
    ],
)
def test_every_version_s_error_becomes_one_line(body: bytes, message: str) -> None:
    assert Reply.parse(404, body, {}).text == message


def test_a_long_error_keeps_its_count_of_dropped_points() -> None:
    text = "partial write: " + "unable to parse 'x' " * 400 + "dropped=17"
    reply = Reply.parse(400, b'{"error":"' + text.encode() + b'"}', {"Retry-After": "3"})
    assert reply.dropped == 17
    assert reply.retry_after == 3.0
    assert len(reply.text) < 320
