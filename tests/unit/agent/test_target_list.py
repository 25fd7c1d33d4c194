"""Target lists: invalid ones are refused with a reason and the stored one stays; polling."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from servers import until

from netwatch.agent import target_list_store
from netwatch.agent.record_file import write_record
from netwatch.agent.target_list import (
    MAX_LIST_BYTES,
    TARGET_LIST,
    TargetList,
    poll_target_list,
)
from netwatch.agent.target_list_store import TargetListStore
from netwatch.model.errors import InputError, TransportError
from netwatch.model.measurement import Target
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.signing import SIGNED, Signer

NOW = datetime(2026, 1, 8, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
GOOD = Target("root-f", "dns", "192.5.5.241", path=".", domain="f.root-servers.net")


@pytest.fixture
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


@pytest.fixture
def store(tmp_path: Path, signer: Signer) -> TargetListStore:
    made = TargetListStore(tmp_path / "targets")
    made.adopt(TARGET_LIST.pack(TargetList(5, LATER, (GOOD,)), signer), NOW)
    return made


def refused(store: TargetListStore, message: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        store.adopt(message, NOW)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    current = store.current()
    assert current is not None
    assert (current.version, current.targets) == (5, (GOOD,))


def test_a_newer_list_is_adopted_and_persists(
    store: TargetListStore, signer: Signer, tmp_path: Path
) -> None:
    more = (GOOD, Target("site", "http", "example.org", country="XX", asn=64500))
    store.adopt(TARGET_LIST.pack(TargetList(6, LATER, more), signer), NOW)
    current = TargetListStore(tmp_path / "targets").current()
    assert current is not None
    assert current.targets == more


def test_a_stored_list_that_expires_stays_in_use(store: TargetListStore) -> None:
    assert store.current() is not None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.5.5", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "fe80::1", "fc00::1",
        "ff02::1", "2001:db8::1", "::ffff:10.0.0.1",
        "::10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "fec0::1",
    ],
)  # fmt: skip
def test_private_and_special_ranges(store: TargetListStore, signer: Signer, host: str) -> None:
    bad = TargetList(6, LATER, (GOOD, replace(GOOD, id="bad", host=host)))
    refused(store, TARGET_LIST.pack(bad, signer), "'bad': an address of a private or special range")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"host": "printer.local"}, "private network"),
        ({"host": "db.internal"}, "private network"),
        ({"host": "router.home"}, "private network"),
        ({"host": "localhost"}, "is not a valid host name"),
        ({"host": ""}, "is not a valid host name"),
        ({"host": "a" * 60_000 + ".org"}, "is not a valid host name"),
        ({"host": "exa mple.org"}, "is not a valid host name"),
        ({"host": "example.org/x"}, "is not a valid host name"),
        ({"host": "0x7f000001"}, "is not a valid host name"),
        ({"host": "2130706433"}, "is not a valid host name"),
        ({"host": "127.1"}, "is not a valid host name"),
        ({"id": ""}, "is not a valid target id"),
        ({"id": "@gap"}, "is not a valid target id"),
        ({"id": "x" * 129}, "is not a valid target id"),
        ({"id": "root-f"}, "is listed twice"),
        ({"port": 70_000}, "is not a port"),
        ({"port": -1}, "is not a port"),
        ({"path": "/\r\nHost: evil"}, "path"),
        ({"country": "Iran"}, "country"),
        ({"asn": -5}, "asn"),
    ],
    ids=lambda item: str(item)[:40],
)
def test_invalid_targets(
    store: TargetListStore, signer: Signer, change: dict[str, object], reason: str
) -> None:
    bad = replace(GOOD, **({"id": "bad"} | change))
    refused(store, TARGET_LIST.pack(TargetList(6, LATER, (GOOD, bad)), signer), reason)


def test_a_million_entries(store: TargetListStore, signer: Signer) -> None:
    many = b"[" + b"{}," * 10**6 + b"{}]"
    message = SIGNED + bytes(96) + b'{"version":6,"targets":' + many + b"}"
    refused(store, message, "bytes are more than")
    compact = b'{"version":6,"expires":"2027-01-01T00:00:00Z","targets":[' + b"0," * 20_000 + b"0]}"
    assert len(compact) < MAX_LIST_BYTES
    refused(store, signer.sign(compact, TARGET_LIST.purpose), "target list: ")


def test_signatures(store: TargetListStore, signer: Signer) -> None:
    newer = TargetList(6, LATER, (GOOD,))
    plain = msgspec.json.encode(newer)
    refused(store, plain, "not signed")
    refused(store, signer.sign(plain, BATCH.purpose), "signature is invalid")
    refused(store, TARGET_LIST.pack(newer, signer)[:-1] + b" ", "signature is invalid")
    stranger = Signer(Ed25519PrivateKey.generate())
    refused(store, TARGET_LIST.pack(newer, stranger), "not the observatory's")


@pytest.mark.parametrize("version", [1, 4, 5])
def test_an_older_list_cannot_be_brought_back(
    store: TargetListStore, signer: Signer, version: int
) -> None:
    refused(store, TARGET_LIST.pack(TargetList(version, LATER, ()), signer), "is not newer than 5")


def test_an_expired_list_is_not_adopted(store: TargetListStore, signer: Signer) -> None:
    refused(store, TARGET_LIST.pack(TargetList(6, NOW, (GOOD,)), signer), "expired on 2026-01-08")


@pytest.mark.parametrize(
    "plain",
    [b"", b"[]", b"{}", b'{"version":"6"}', b"\xff\xfe", b'{"version":6,"code":"import os"}'],
)
def test_invalid_lists(store: TargetListStore, signer: Signer, plain: bytes) -> None:
    refused(store, signer.sign(plain, TARGET_LIST.purpose), "target list: ")


def test_the_key_may_be_known_beforehand(tmp_path: Path, signer: Signer) -> None:
    other = Signer(Ed25519PrivateKey.generate())
    store = TargetListStore(tmp_path / "targets", key=signer.public)
    with pytest.raises(InputError, match="not the observatory's"):
        store.adopt(TARGET_LIST.pack(TargetList(1, LATER, (GOOD,)), other), NOW)
    assert store.current() is None


def test_a_list_is_refused_before_its_start(store: TargetListStore, signer: Signer) -> None:
    early = TargetList(6, LATER, (GOOD,), not_before=NOW + timedelta(hours=1))
    refused(store, TARGET_LIST.pack(early, signer), "not valid before 2026-01-08 01:00 UTC")
    store.adopt(TARGET_LIST.pack(early, signer), NOW + timedelta(hours=2))


def test_a_list_with_an_unknown_category_is_refused(store: TargetListStore, signer: Signer) -> None:
    bad = TargetList(6, LATER, (GOOD,), sensitive={"MALWARE": (replace(GOOD, id="bad"),)})
    refused(store, TARGET_LIST.pack(bad, signer), "not a category that is probed")


@pytest.mark.parametrize("tier", ["popular", "sensitive"])
def test_every_tier_is_validated(store: TargetListStore, signer: Signer, tier: str) -> None:
    inside = (replace(GOOD, id="bad", host="10.0.0.1"),)
    change = {"popular": inside} if tier == "popular" else {"sensitive": {"NEWS": inside}}
    refused(store, TARGET_LIST.pack(TargetList(6, LATER, (GOOD,), **change), signer), "private")
    twice = {"popular": (GOOD,)} if tier == "popular" else {"sensitive": {"NEWS": (GOOD,)}}
    refused(
        store, TARGET_LIST.pack(TargetList(6, LATER, (GOOD,), **twice), signer), "is listed twice"
    )


def test_the_largest_list_is_adopted_and_one_byte_more_is_not(
    store: TargetListStore, signer: Signer
) -> None:
    def listed(pad: int) -> bytes:
        return msgspec.json.encode(TargetList(6, LATER, (GOOD,))) + b" " * pad

    room = MAX_LIST_BYTES - 99 - len(listed(0))
    assert MAX_LIST_BYTES == 256 * 1024
    large = signer.sign(listed(room), TARGET_LIST.purpose, limit=MAX_LIST_BYTES)
    assert len(large) == MAX_LIST_BYTES
    refused(store, large + b" ", "bytes are more than")
    store.adopt(large, NOW)
    with pytest.raises(InputError, match="too many to sign"):
        signer.sign(listed(room + 1), TARGET_LIST.purpose, limit=MAX_LIST_BYTES)


def test_too_many_targets_in_total(store: TargetListStore, signer: Signer) -> None:
    many = tuple(Target(f"t{number}", "dns", "192.5.5.241") for number in range(3000))
    more = tuple(replace(one, id=f"{one.id}b") for one in many)
    bad = TargetList(6, LATER, many, popular=more)
    message = signer.sign(msgspec.json.encode(bad), TARGET_LIST.purpose, limit=2**20)
    if len(message) <= MAX_LIST_BYTES:
        refused(store, message, "targets are too many")
    else:
        refused(store, message, "bytes are more than")


def test_a_rejection_is_stored_until_the_next_valid_list(
    store: TargetListStore, signer: Signer
) -> None:
    assert store.rejection() is None
    refused(store, TARGET_LIST.pack(TargetList(1, LATER, ()), signer), "not newer")
    refusal = store.rejection()
    assert refusal is not None
    assert (refusal.at, "not newer than 5" in refusal.reason) == (NOW, True)
    store.adopt(TARGET_LIST.pack(TargetList(6, LATER, (GOOD,)), signer), NOW)
    assert store.rejection() is None


def test_a_repeated_list_is_neither_new_nor_refused(store: TargetListStore, signer: Signer) -> None:
    message = TARGET_LIST.pack(TargetList(6, LATER, (GOOD,)), signer)
    assert store.receive(message, NOW)
    assert not store.receive(message, NOW)
    assert store.rejection() is None
    assert not store.receive(b"garbage", NOW)
    assert store.rejection() is not None


def test_a_received_list_is_ignored_without_a_known_key(tmp_path: Path, signer: Signer) -> None:
    message = TARGET_LIST.pack(TargetList(6, LATER, (GOOD,)), signer)
    stranger = TargetListStore(tmp_path / "new")
    assert not stranger.receive(message, NOW)
    assert stranger.current() is None
    assert TargetListStore(tmp_path / "new", key=signer.public).receive(message, NOW)
    assert stranger.current() is not None


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\xff\xfe", b'{"message":"aGVsbG8="}'])
def test_a_damaged_file_counts_as_none_and_the_next_list_replaces_it(
    store: TargetListStore, signer: Signer, tmp_path: Path, damage: bytes
) -> None:
    (tmp_path / "targets").write_bytes(damage)
    fresh = TargetListStore(tmp_path / "targets", key=signer.public)
    assert fresh.current() is None
    fresh.adopt(TARGET_LIST.pack(TargetList(6, LATER, (GOOD,)), signer), NOW)
    assert fresh.current() is not None


def test_a_list_that_another_process_adopts_is_seen(
    store: TargetListStore, signer: Signer, tmp_path: Path
) -> None:
    running = TargetListStore(tmp_path / "targets")
    assert running.current().version == 5
    store.adopt(TARGET_LIST.pack(TargetList(6, LATER, (GOOD, replace(GOOD, id="x"))), signer), NOW)
    assert running.current().version == 6


def test_the_list_of_a_former_observatory_is_ignored(
    store: TargetListStore, signer: Signer, tmp_path: Path
) -> None:
    last = TargetList(2**53 - 1, LATER, (GOOD,), pause_until=LATER)
    store.adopt(TARGET_LIST.pack(last, signer), NOW)
    other = Signer(Ed25519PrivateKey.generate())
    moved = TargetListStore(tmp_path / "targets", key=other.public)
    assert moved.current() is None
    assert moved.receive(TARGET_LIST.pack(TargetList(6, LATER, (GOOD,)), other), NOW)
    current = moved.current()
    assert current is not None
    assert (current.version, current.pause_until) == (6, None)


async def test_polling_reports_a_new_list_and_continues_after_a_failure() -> None:
    results = iter([TransportError("no response"), False, True])
    fetched, changed = [], []

    async def fetch() -> bool:
        fetched.append(1)
        result = next(results, False)
        if isinstance(result, TransportError):
            raise result
        return result

    polling = asyncio.ensure_future(
        poll_target_list(fetch, lambda: changed.append(1), first=0, period=0.001)
    )
    await until(lambda: len(fetched) > 4)
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    assert changed == [1]


def test_a_list_never_replaces_a_newer_one_that_another_thread_stores(
    store: TargetListStore, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_writing = Event()

    def write_slowly(path: Path, record: object) -> None:
        if not is_writing.is_set():
            is_writing.set()
            time.sleep(0.2)
        write_record(path, record)

    monkeypatch.setattr(target_list_store, "write_record", write_slowly)
    older, newer = (TARGET_LIST.pack(TargetList(n, LATER, (GOOD,)), signer) for n in (6, 7))
    slow = Thread(target=store.receive, args=(older, NOW))
    slow.start()
    assert is_writing.wait(5)
    assert store.receive(newer, NOW)
    slow.join()
    current = store.current()
    assert current is not None
    assert current.version == 7
