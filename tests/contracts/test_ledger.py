"""What `SqlLedger` and its outbox promise, on SQLite and on an installed PostgreSQL."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy

from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.amendment import Amendment, AmendmentState
from netwatch.model.entities import Entity
from netwatch.model.errors import StoreError
from netwatch.model.incident import Incident, IncidentState, Post
from netwatch.model.series import SeriesKey
from netwatch.protocols import Checkpoint, OutboxState


def _postgres_programs() -> Path | None:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if programs:
        return programs[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


@contextmanager
def _postgres() -> Iterator[str]:
    """Run a PostgreSQL server of its own on a socket in a temporary folder; yield its URL."""
    programs = _postgres_programs()
    if programs is None or find_spec("psycopg") is None:
        pytest.skip("no PostgreSQL server (initdb) or no psycopg installed")
    # PostgreSQL refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="nw-pg-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        data = f"{folder}/data"

        def run(*command: str | Path) -> None:
            subprocess.run(
                command,
                user=user,
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

        run(programs / "initdb", "-D", data, "-A", "trust", "-U", "netwatch", "-N")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        control = (programs / "pg_ctl", "-D", data, "-w")
        run(*control, "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://netwatch@/postgres?host={folder}"
        finally:
            run(*control, "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with _postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return ledger_url(tmp_path / "ledger.sqlite")
    server: str = request.getfixturevalue("postgres")
    engine = sqlalchemy.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return server


@pytest.fixture
def ledger(url: str) -> Iterator[SqlLedger]:
    ledger = SqlLedger(url)
    yield ledger
    ledger.close()


def test_recorded_incidents_are_there_after_reopening(
    url: str,
    ledger: SqlLedger,
    make_incident: Callable[..., Incident],
    make_post: Callable[..., Post],
) -> None:
    first, second = make_incident(), make_incident(revision=2, ended_at=make_incident().at)
    checkpoint = Checkpoint(first.at, b"\x00state\xff")
    ledger.record([first, second], [make_post()], checkpoint=checkpoint)
    again = SqlLedger(url)
    assert again.revisions(first.id) == [first, second]
    assert again.count_revisions() == 2
    assert again.incidents() == [second]
    assert again.checkpoint() == checkpoint
    assert [entry.post for entry in again.outbox.posts(first.id)] == [make_post()]
    again.close()


def test_an_empty_ledger_has_no_incidents(ledger: SqlLedger) -> None:
    assert ledger.incidents() == []
    assert ledger.revisions("NW-IR-2019-0042") == []
    assert ledger.checkpoint() is None


def test_recording_again_changes_nothing(
    ledger: SqlLedger, make_incident: Callable[..., Incident], make_post: Callable[..., Post]
) -> None:
    ledger.record([make_incident()], [make_post()])
    ledger.record([make_incident(networks_lost=1)], [make_post(text="other")])
    assert ledger.incidents() == [make_incident()]
    assert [entry.post.text for entry in ledger.outbox.posts("NW-IR-2019-0042")] == [
        make_post().text
    ]


def test_writes_all_or_nothing(
    ledger: SqlLedger, make_incident: Callable[..., Incident], make_post: Callable[..., Post]
) -> None:
    good = Checkpoint(make_incident().at, b"good")
    ledger.record([], [], checkpoint=good)
    torn = make_incident(id="NW-IR-2019-0099", revision=3)
    with pytest.raises(StoreError, match="revision 3 of NW-IR-2019-0099 without the one before"):
        ledger.record(
            [make_incident(), torn], [make_post()], checkpoint=replace(good, state=b"bad")
        )
    assert ledger.incidents() == []
    assert ledger.outbox.posts("NW-IR-2019-0042") == []
    assert ledger.checkpoint() == good


def test_lists_newest_onset_first_by_newest_revision(
    ledger: SqlLedger, make_incident: Callable[..., Incident]
) -> None:
    early = make_incident(id="NW-IR-2019-0001", started_at=make_incident().at - timedelta(days=9))
    late = [make_incident(), make_incident(revision=2, state=IncidentState.PARTIALLY_RESTORED)]
    ledger.record([early, *late], [])
    assert ledger.incidents() == [late[1], early]


def test_keeps_names_in_any_script(
    ledger: SqlLedger, make_incident: Callable[..., Incident]
) -> None:
    odd = make_incident(
        seen_from="ایران \U0001f310 'quoted' \"twice\"\n", entity=Entity.parse("domain:x.ir")
    )
    ledger.record([odd], [])
    assert ledger.incidents() == [odd]


def test_chain_of_hashes_holds(ledger: SqlLedger, make_incident: Callable[..., Incident]) -> None:
    ledger.record([make_incident(revision=number) for number in range(1, 5)], [])
    ledger.record([make_incident(revision=5)], [])
    assert ledger.verify_chain() == []


def test_a_post_is_due_once_it_is_written(
    ledger: SqlLedger, make_incident: Callable[..., Incident], make_post: Callable[..., Post]
) -> None:
    post = make_post()
    ledger.record([], [post])
    assert ledger.outbox.due(post.created_at - timedelta(seconds=1)) == []
    entry = ledger.outbox.due(post.created_at)[0]
    assert (entry.post, entry.state, entry.attempts) == (post, OutboxState.READY, 0)


def test_a_post_is_claimed_once(ledger: SqlLedger, make_post: Callable[..., Post]) -> None:
    post = make_post()
    ledger.record([], [post])
    assert ledger.outbox.claim(post.key, at=post.created_at)
    assert not ledger.outbox.claim(post.key, at=post.created_at)
    assert not ledger.outbox.claim("nonesuch", at=post.created_at)
    assert ledger.outbox.due(post.created_at) == []
    assert [entry.attempts for entry in ledger.outbox.in_state(OutboxState.SENDING)] == [1]


def test_sent_is_for_ever(ledger: SqlLedger, make_post: Callable[..., Post]) -> None:
    post = make_post()
    ledger.record([], [post])
    ledger.outbox.mark(post.key, OutboxState.SENT, at=post.created_at)
    ledger.outbox.mark(post.key, OutboxState.READY, at=post.created_at, reason="too late")
    assert [entry.reason for entry in ledger.outbox.in_state(OutboxState.SENT)] == [""]
    ledger.record([], [post])
    assert ledger.outbox.due(post.created_at) == []


def test_a_failed_post_waits_for_its_next_try(
    ledger: SqlLedger, make_post: Callable[..., Post]
) -> None:
    post = make_post()
    later = post.created_at + timedelta(minutes=5)
    ledger.record([], [post])
    ledger.outbox.mark(
        post.key, OutboxState.READY, at=post.created_at, reason="away" * 200, next_at=later
    )
    assert ledger.outbox.due(later - timedelta(seconds=1)) == []
    assert ledger.outbox.due(later)[0].next_at == later
    assert ledger.outbox.due(later)[0].reason.startswith("away")


def test_an_update_never_overtakes_the_post_that_it_updates(
    ledger: SqlLedger, make_post: Callable[..., Post]
) -> None:
    first, second = make_post(key="1"), make_post(key="2", revision=2)
    other = make_post(key="3", revision=2, channel="file")
    now = first.created_at
    ledger.record([], [first, second, other])
    assert [entry.post.key for entry in ledger.outbox.due(now)] == ["1", "3"]
    ledger.outbox.mark("1", OutboxState.READY, at=now, next_at=now + timedelta(hours=1))
    assert [entry.post.key for entry in ledger.outbox.due(now)] == ["3"]
    ledger.outbox.mark("1", OutboxState.FAILED, at=now)
    assert [entry.post.key for entry in ledger.outbox.due(now)] == ["2", "3"]


def test_amendments_keep_their_state_until_it_is_decided(ledger: SqlLedger) -> None:
    time = datetime(2026, 1, 8, 12, tzinfo=UTC)
    keys = [SeriesKey("reachability", Entity.parse(name)) for name in ("asn:1", "country:IR")]
    first, second = (
        Amendment(key, time, 1.0, 0.25, late_share=0.5, owners=1, networks=2) for key in keys
    )
    book, pending = ledger.amendments, {AmendmentState.PENDING}
    book.replace(time, [first, second], at=time)
    assert book.read(pending) == [first, second]
    assert book.read(pending, entity=keys[1].entity) == [second]
    assert book.read(pending, start=time + timedelta(minutes=5)) == []
    assert book.read(pending, start=time, end=time) == []
    book.decide([first], AmendmentState.REJECTED, at=time)
    book.decide([first], AmendmentState.ACCEPTED, at=time)  # it was decided meanwhile
    rejected = book.read({AmendmentState.REJECTED})
    assert rejected == [replace(first, state=AmendmentState.REJECTED)]
    book.replace(time, [], at=time)
    assert book.read(frozenset(AmendmentState)) == rejected


def test_what_a_level_was_judged_by_stays_until_the_bin_is_opened_again(ledger: SqlLedger) -> None:
    time = datetime(2026, 1, 8, 12, tzinfo=UTC)
    one, two = (SeriesKey("reachability", Entity.parse(name)) for name in ("asn:1", "country:IR"))
    ledger.amendments.keep_ordinary(time, {one: 0.5})
    ledger.amendments.keep_ordinary(time, {one: 0.7, two: 1.0})
    assert ledger.amendments.ordinary(time) == {one: 0.5, two: 1.0}
    ledger.amendments.replace(time, [Amendment(one, time, 1.0, 0.2, 0.5, 1, 2)], at=time)
    ledger.amendments.forget(time + timedelta(minutes=5))
    assert ledger.amendments.ordinary(time) == {one: 0.5, two: 1.0}
    ledger.amendments.forget(time)
    assert ledger.amendments.ordinary(time) == {}
    assert ledger.amendments.read(frozenset(AmendmentState)) == []


def test_a_post_that_a_wrong_clock_postponed_is_due(
    ledger: SqlLedger, make_incident: Callable[..., Incident], make_post: Callable[..., Post]
) -> None:
    """It was last tried in the future, so nobody knows when its time would come."""
    post, day = make_post(), timedelta(days=1)
    ledger.record([make_incident()], [post])
    tomorrow = post.created_at + day
    ledger.outbox.mark(post.key, OutboxState.READY, at=tomorrow, next_at=tomorrow + day)
    assert ledger.outbox.due(tomorrow) == []
    assert [one.post for one in ledger.outbox.due(post.created_at)] == [post]
