"""The InfluxDB store on real servers: each failure has a clear error and loses nothing else."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from influx_servers import (
    AS_CORE,
    Influxd,
    fresh_login,
    open_store,
    shared_influxd,
    victoria_metrics,
)
from msgspec.structs import replace
from servers import need

from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import ConfigError, InputError, StoreError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.influx.client import InfluxClient
from netwatch.store.influx.dsn import InfluxDsn
from netwatch.store.influx.line_protocol import render_tags
from netwatch.store.influx.reply import RetryableError
from netwatch.store.influx.schema import SCHEMA
from netwatch.store.influx.store import InfluxStore
from netwatch.store.influx.v2_writer import V2Writer
from netwatch.store.influx.versions import read_dialect

T0 = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
END = T0 + timedelta(days=30)


@pytest.fixture
def login() -> Iterator[InfluxDsn]:
    with fresh_login() as made:
        yield made


@contextmanager
def opened(login: InfluxDsn, **more: object) -> Iterator[InfluxStore]:
    store = open_store(login, **more)
    try:
        yield store
    finally:
        store.close()


def asn(code: int) -> SeriesKey:
    return SeriesKey("reachability", Entity(EntityKind.ASN, str(code)))


def bins_at(step: int, count: int = 5) -> list[Bin]:
    return [Bin(T0 + step * STEP, asn(code), float(step), 7.0) for code in range(1, count + 1)]


def test_check_names_the_version(login: InfluxDsn) -> None:
    with opened(login) as store:
        assert store.check().startswith("1.6")


def test_every_call_reports_a_wrong_password(login: InfluxDsn) -> None:
    with opened(replace(login, password="wrong")) as store:
        for call in (
            store.check,
            store.closed_until,
            lambda: store.put_bins(bins_at(0)),
            lambda: list(store.read_bins(T0, END)),
        ):
            with pytest.raises(StoreError, match="refuses the user 'netwatch': authorization"):
                call()


def test_a_missing_database_is_reported_with_the_command_to_create_it(login: InfluxDsn) -> None:
    with opened(replace(login, database="no such")) as store:
        for call in (store.check, lambda: store.put_bins(bins_at(0))):
            with pytest.raises(StoreError, match=r"has no database 'no such'.*CREATE DATABASE"):
                call()


def test_a_dropped_database_is_reported_and_a_retry_stores_everything(
    login: InfluxDsn,
) -> None:
    with opened(login, dialect=AS_CORE) as store:
        store.put_bins(bins_at(0), closed_until=T0 + STEP)
        shared_influxd().execute(f'DROP DATABASE "{login.database}"')
        with pytest.raises(StoreError, match="has no database"):
            store.put_bins(bins_at(1), closed_until=T0 + 2 * STEP)
        shared_influxd().execute(f'CREATE DATABASE "{login.database}"')
        assert store.closed_until() is None
        store.put_bins(bins_at(0) + bins_at(1), closed_until=T0 + 2 * STEP)
        assert list(store.read_bins(T0, END)) == bins_at(0) + bins_at(1)
        assert store.closed_until() == T0 + 2 * STEP


def test_points_older_than_the_retention_are_reported_and_the_others_stored(
    login: InfluxDsn,
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    shared_influxd().execute(
        f'ALTER RETENTION POLICY "autogen" ON "{login.database}" DURATION 2d SHARD DURATION 1d'
    )
    old = [Bin(now - timedelta(days=30), asn(code), 1.0) for code in range(20)]
    new = [Bin(now - timedelta(minutes=5), asn(code), 2.0) for code in range(20)]
    mixed = [row for pair in zip(old, new, strict=True) for row in pair]
    with opened(login) as store:
        with pytest.raises(InputError, match=r"not stored: .*retention policy.*20 of 40 rejected"):
            store.put_bins(mixed, closed_until=now)
        assert len(list(store.read_bins(now - timedelta(days=40), now))) == 20
        assert store.closed_until() == now


def test_a_field_type_conflict_loses_only_its_own_points(
    login: InfluxDsn,
) -> None:
    head = render_tags("counts", {"scope_id": "3", "scope_type": "asn", "signal": "reachability"})
    with opened(login) as store:
        stamp = int(T0.timestamp()) * 10**9
        store.client.write([f'{head},by=stranger value="text" {stamp}'])
        with pytest.raises(InputError, match="field type conflict"):
            store.put_bins(bins_at(0), closed_until=T0 + STEP)


def test_texts_cannot_break_out_of_a_query(login: InfluxDsn) -> None:
    series = SeriesKey("x' OR 1=1 --", Entity(EntityKind.DOMAIN, '" OR "signal" = \'y'))
    with opened(login) as store:
        store.put_bins([*bins_at(0), Bin(T0, series, 1.0)])
        assert list(store.read_bins(T0, END, series=series)) == [Bin(T0, series, 1.0)]


@pytest.mark.parametrize("dialect", [None, AS_CORE])
def test_written_points_match_the_schema(login: InfluxDsn, dialect: object) -> None:
    with opened(login, dialect=dialect) as store:
        store.put_bins([*bins_at(0), Bin(T0, asn(9), 1.0)], closed_until=T0)
        store.put_levels([Level(T0, asn(1), 0.5, 0.4, 0.6), Level(T0, asn(2), None)])
        types = {"float": float, "integer": int, "boolean": bool, "string": str}
        for name in ("counts", "connectivity", "watermark", "calendar"):
            fields = store.client.query(f'SHOW FIELD KEYS FROM "{name}"').rows
            tags = store.client.query(f'SHOW TAG KEYS FROM "{name}"').rows
            assert {str(row[0]): types[str(row[1])] for row in fields} == SCHEMA[name].fields
            assert sorted(str(row[0]) for row in tags) == sorted(SCHEMA[name].tags)


def test_a_revision_is_a_new_point_where_points_are_not_overwritten(login: InfluxDsn) -> None:
    with opened(login, dialect=AS_CORE) as store:
        for value in (1.0, 2.0, 2.0, 3.0):
            store.put_bins([Bin(T0, asn(1), value)])
        count = store.client.query('SELECT count("value") FROM "counts"').rows
        assert count[0][1] == 3
        assert [bin_.value for bin_ in store.read_bins(T0, END)] == [3.0]


def test_a_bin_revised_a_thousand_times_is_refused_rather_than_moved(login: InfluxDsn) -> None:
    with opened(login, dialect=AS_CORE) as store:
        head = "counts,scope_id=1,scope_type=asn,signal=reachability"
        stamp = int(T0.timestamp()) * 10**9
        store.put_bins([Bin(T0, asn(1), 1.0)])
        store.client.write([f"{head} value=2.0,trials=false {stamp + 999}"])
        with pytest.raises(StoreError, match="changed too often"):
            store.put_bins([Bin(T0, asn(1), 5.0)])


numbers = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | numbers
keys = st.builds(
    lambda signal, kind, code: SeriesKey(signal, Entity(kind, code)),
    st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1),
    st.sampled_from(EntityKind),
    st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), min_size=1),
)
times = st.integers(0, 1_700_000_000_000_000).map(
    lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)


@given(
    rows=st.lists(st.builds(Bin, times, keys, numbers, maybe), max_size=30),
    levels=st.lists(
        st.builds(
            Level,
            times,
            keys,
            value=maybe,
            low=maybe,
            high=maybe,
            probability=numbers,
            coverage=numbers,
            networks=st.integers(0, 2**40),
            baseline=st.builds(
                Baseline,
                st.sampled_from(BaselineKind),
                days=st.integers(0, 10**5),
                frozen_since=st.none() | times,
                shifted_to=st.none() | st.integers(0, 99).map(lambda percent: percent / 100),
            ),
        ),
        max_size=20,
    ),
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_everything_comes_back_bit_for_bit(rows: list[Bin], levels: list[Level]) -> None:
    with fresh_login() as login, opened(login, page=7) as store:
        store.put_bins(rows)
        store.put_levels(levels)
        start, end = datetime(1970, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
        last = {(row.time, row.series): row for row in rows}
        assert list(store.read_bins(start, end)) == [last[place] for place in sorted(last)]
        newest = {(level.time, level.series): level for level in levels}
        assert list(store.read_levels(start, end)) == [newest[place] for place in sorted(newest)]


def test_version_2_writes_keep_every_special_character(tmp_path: Path) -> None:
    """`influxdb-client` on `/api/v2/write` of another vendor's server."""
    texts = ["plain", "a b", "a,b", "a=b", "back\\slash\\", 'quo"te', "تهران", "%41"]
    with victoria_metrics(tmp_path) as url:
        login = InfluxDsn(url, organization="any", password="any")
        dialect = replace(AS_CORE, version="2.9.1", takes_v2_writes=True)
        server = InfluxClient(login, dialect=dialect, retry_for=timedelta(seconds=5))
        now = int(time.time()) * 10**9
        server.write(
            [render_tags("nw", {"t": text}) + f" v={n} {now}" for n, text in enumerate(texts)]
        )
        found: dict[str, float] = {}
        deadline = time.monotonic() + 15
        while len(found) < len(texts) and time.monotonic() < deadline:
            httpx.get(f"{url}/internal/force_flush", trust_env=False)
            export = httpx.get(
                f"{url}/api/v1/export", params={"match[]": "nw_v"}, trust_env=False
            ).text
            rows = [msgspec.json.decode(line) for line in export.splitlines()]
            found = {row["metric"]["t"]: row["values"][0] for row in rows}
            time.sleep(0.05)
        server.close()
    assert found == {
        text.replace("%", "%25").replace("\\", "%5C"): n for n, text in enumerate(texts)
    }


def test_a_server_other_than_influxdb_is_refused(tmp_path: Path) -> None:
    with (
        victoria_metrics(tmp_path) as url,
        opened(InfluxDsn(url)) as store,
        pytest.raises(StoreError, match=r"has no version; InfluxDB 1\.6 to 3 is needed"),
    ):
        store.check()


def certificate(folder: Path, name: str) -> Path:
    """Create a key with a self-signed certificate for 127.0.0.1, in one file."""
    file = folder / f"{name}.pem"
    subprocess.run(
        [
            *(need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", file, "-out", folder / "half.pem"),
        ],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + (folder / "half.pem").read_text())
    return file


def test_tls_trusts_only_the_configured_authority(tmp_path: Path) -> None:
    server = Influxd(tmp_path, tls=certificate(tmp_path, "server"))
    server.start()
    try:
        server.execute("CREATE DATABASE nw")
        login = replace(server.login, database="nw")
        with opened(login) as store:
            store.put_bins(bins_at(0), closed_until=T0 + STEP)
            assert list(store.read_bins(T0, END)) == bins_at(0)
        for other in ("", str(certificate(tmp_path, "other"))):
            server_of_others = InfluxClient(
                replace(login, ca_file=other), retry_for=timedelta(seconds=0.2)
            )
            with pytest.raises(StoreError, match=r"cannot be used.*CERTIFICATE_VERIFY_FAILED"):
                server_of_others.query("SHOW DATABASES")
            server_of_others.close()
    finally:
        server.kill()


def test_version_2_writes_trust_only_the_configured_authority(tmp_path: Path) -> None:
    server = Influxd(tmp_path, tls=certificate(tmp_path, "server"))
    server.start()
    try:
        dialect = read_dialect({"X-Influxdb-Version": "1.8.10"})
        writer = V2Writer(replace(server.login, database="nw"), dialect)
        # 1.6 has no such path: its answer proves that TLS was established.
        assert writer.write(b"").status == 404
        writer.close()
        writer = V2Writer(replace(server.login, ca_file=""), dialect)
        with pytest.raises(RetryableError, match="CERTIFICATE_VERIFY_FAILED"):
            writer.write(b"")
        writer.close()
    finally:
        server.kill()


def test_an_error_names_the_file_without_certificates(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (empty, tmp_path / "none.pem"):
        with pytest.raises(ConfigError, match=r"ca_file: .*pem: cannot be used"):
            InfluxClient(InfluxDsn("https://127.0.0.1:9", ca_file=str(path)))


class Ingest(threading.Thread):
    """What a durable batch log does: the oldest batch is given again until the store has it."""

    def __init__(self, login: InfluxDsn, steps: int, *, dialect: object) -> None:
        super().__init__(daemon=True)
        server = InfluxClient(login, retry_for=timedelta(seconds=0.3), dialect=dialect)
        self.store = InfluxStore(server)
        self.steps = steps
        self.done = 0
        self.refusals = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while self.done < self.steps:
                until = T0 + (self.done + 1) * STEP
                try:
                    self.store.put_bins(bins_at(self.done, 400), closed_until=until)
                except StoreError:
                    self.refusals += 1
                else:
                    self.done += 1
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            self.failure = error


def wait_until(ingest: Ingest, condition: str, *, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not eval(condition, {"ingest": ingest}):
        assert ingest.failure is None, ingest.failure
        assert time.monotonic() < deadline, f"{condition} did not come true"
        time.sleep(0.002)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("dialect", [None, AS_CORE], ids=["overwrites", "like-core"])
def test_a_server_killed_during_ingest_loses_and_duplicates_nothing(
    tmp_path: Path, dialect: object
) -> None:
    server = Influxd(tmp_path)
    server.start()
    try:
        server.execute("CREATE DATABASE nw")
        login = replace(server.login, database="nw")
        ingest = Ingest(login, 60, dialect=dialect)
        ingest.start()
        for at in (5, 20, 35):
            wait_until(ingest, f"ingest.done >= {at}")
            refusals = ingest.refusals
            server.kill()
            wait_until(ingest, f"ingest.refusals > {refusals}")
            done = ingest.done
            server.start()
            with opened(login, dialect=dialect) as reader:
                watermark = reader.closed_until()
                assert watermark is not None
                assert watermark >= T0 + done * STEP
                stored = list(reader.read_bins(T0, watermark))
                steps = (watermark - T0) // STEP
                assert stored == sorted(
                    (row for step in range(steps) for row in bins_at(step, 400)),
                    key=lambda row: (row.time, row.series),
                )
        ingest.join(30)
        assert ingest.failure is None
        assert ingest.done == 60
        count = ingest.store.client.query('SELECT count("value") FROM "counts"').rows
        assert count[0][1] == 60 * 400
        ingest.store.close()
    finally:
        server.kill()
