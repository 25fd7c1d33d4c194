"""Hostile target lists: refused with a reason, and the last good one is kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.agent.target_list import MAX_LIST_BYTES, TargetList, sign_target_list
from netwatch.agent.target_list_store import TargetListStore
from netwatch.model.errors import InputError
from netwatch.model.measurement import Target
from netwatch.wire.batch_codec import SIGNED
from netwatch.wire.signing import BATCH, TARGETS, Signer

NOW = datetime(2026, 1, 8, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
GOOD = Target("root-f", "dns", "192.5.5.241", path=".", domain="f.root-servers.net")


@pytest.fixture
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


@pytest.fixture
def book(tmp_path: Path, signer: Signer) -> TargetListStore:
    made = TargetListStore(tmp_path / "targets")
    made.adopt(sign_target_list(TargetList(5, LATER, (GOOD,)), signer), NOW)
    return made


def refused(book: TargetListStore, message: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        book.adopt(message, NOW)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    current = book.current()
    assert current is not None
    assert (current.version, current.targets) == (5, (GOOD,))


def test_a_newer_list_is_taken_up_and_survives(
    book: TargetListStore, signer: Signer, tmp_path: Path
) -> None:
    more = (GOOD, Target("site", "http", "example.org", country="XX", asn=64500))
    book.adopt(sign_target_list(TargetList(6, LATER, more), signer), NOW)
    found = TargetListStore(tmp_path / "targets").current()
    assert found is not None
    assert found.targets == more


def test_an_expired_list_that_was_good_stays_in_use(book: TargetListStore) -> None:
    assert book.current() is not None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.5.5", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "fe80::1", "fc00::1",
        "ff02::1", "2001:db8::1", "::ffff:10.0.0.1",
        "::10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "fec0::1",
    ],
)  # fmt: skip
def test_private_and_special_ranges(book: TargetListStore, signer: Signer, host: str) -> None:
    bad = TargetList(6, LATER, (GOOD, replace(GOOD, id="bad", host=host)))
    refused(book, sign_target_list(bad, signer), "'bad': an address of a private or special range")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"host": "printer.local"}, "private network"),
        ({"host": "db.internal"}, "private network"),
        ({"host": "router.home"}, "private network"),
        ({"host": "localhost"}, "no name of a host"),
        ({"host": ""}, "no name of a host"),
        ({"host": "a" * 60_000 + ".org"}, "no name of a host"),
        ({"host": "exa mple.org"}, "no name of a host"),
        ({"host": "example.org/x"}, "no name of a host"),
        ({"host": "0x7f000001"}, "no name of a host"),
        ({"host": "2130706433"}, "no name of a host"),
        ({"host": "127.1"}, "no name of a host"),
        ({"id": ""}, "no name for a target"),
        ({"id": "@gap"}, "no name for a target"),
        ({"id": "x" * 129}, "no name for a target"),
        ({"id": "root-f"}, "stands twice"),
        ({"port": 70_000}, "no port"),
        ({"port": -1}, "no port"),
        ({"path": "/\r\nHost: evil"}, "path"),
        ({"country": "Iran"}, "country"),
        ({"asn": -5}, "asn"),
    ],
    ids=lambda item: str(item)[:40],
)
def test_targets_that_are_none(
    book: TargetListStore, signer: Signer, change: dict[str, object], reason: str
) -> None:
    bad = replace(GOOD, **({"id": "bad"} | change))
    refused(book, sign_target_list(TargetList(6, LATER, (GOOD, bad)), signer), reason)


def test_a_million_entries(book: TargetListStore, signer: Signer) -> None:
    many = b"[" + b"{}," * 10**6 + b"{}]"
    message = SIGNED + bytes(96) + b'{"version":6,"targets":' + many + b"}"
    refused(book, message, "bytes are too many")
    compact = b'{"version":6,"expires":"2027-01-01T00:00:00Z","targets":[' + b"0," * 20_000 + b"0]}"
    assert len(compact) < MAX_LIST_BYTES
    refused(book, signer.sign(compact, TARGETS), "target list: ")


def test_signatures(book: TargetListStore, signer: Signer) -> None:
    newer = TargetList(6, LATER, (GOOD,))
    plain = msgspec.json.encode(newer)
    refused(book, plain, "nobody has signed")
    refused(book, signer.sign(plain, BATCH), "signature is invalid")
    refused(book, sign_target_list(newer, signer)[:-1] + b" ", "signature is invalid")
    stranger = Signer(Ed25519PrivateKey.generate())
    refused(book, sign_target_list(newer, stranger), "not the observatory's")


@pytest.mark.parametrize("version", [1, 4, 5])
def test_an_older_list_cannot_be_brought_back(
    book: TargetListStore, signer: Signer, version: int
) -> None:
    refused(book, sign_target_list(TargetList(version, LATER, ()), signer), "is not newer than 5")


def test_an_expired_list_is_not_taken_up(book: TargetListStore, signer: Signer) -> None:
    refused(book, sign_target_list(TargetList(6, NOW, (GOOD,)), signer), "expired on 2026-01-08")


@pytest.mark.parametrize(
    "plain",
    [b"", b"[]", b"{}", b'{"version":"6"}', b"\xff\xfe", b'{"version":6,"code":"import os"}'],
)
def test_what_is_no_list(book: TargetListStore, signer: Signer, plain: bytes) -> None:
    refused(book, signer.sign(plain, TARGETS), "target list: ")


def test_the_key_can_be_told_beforehand(tmp_path: Path, signer: Signer) -> None:
    other = Signer(Ed25519PrivateKey.generate())
    book = TargetListStore(tmp_path / "targets", key=signer.public)
    with pytest.raises(InputError, match="not the observatory's"):
        book.adopt(sign_target_list(TargetList(1, LATER, (GOOD,)), other), NOW)
    assert book.current() is None


def test_a_list_does_not_hold_before_its_time(book: TargetListStore, signer: Signer) -> None:
    early = TargetList(6, LATER, (GOOD,), not_before=NOW + timedelta(hours=1))
    refused(book, sign_target_list(early, signer), "holds from 2026-01-08 01:00 UTC on")
    book.adopt(sign_target_list(early, signer), NOW + timedelta(hours=2))


def test_a_category_that_nobody_should_contact_is_refused(
    book: TargetListStore, signer: Signer
) -> None:
    bad = TargetList(6, LATER, (GOOD,), sensitive={"MALWARE": (replace(GOOD, id="bad"),)})
    refused(book, sign_target_list(bad, signer), "no category that may be probed")


@pytest.mark.parametrize("tier", ["popular", "sensitive"])
def test_every_tier_is_looked_through(book: TargetListStore, signer: Signer, tier: str) -> None:
    inside = (replace(GOOD, id="bad", host="10.0.0.1"),)
    change = {"popular": inside} if tier == "popular" else {"sensitive": {"NEWS": inside}}
    refused(book, sign_target_list(TargetList(6, LATER, (GOOD,), **change), signer), "private")
    twice = {"popular": (GOOD,)} if tier == "popular" else {"sensitive": {"NEWS": (GOOD,)}}
    refused(book, sign_target_list(TargetList(6, LATER, (GOOD,), **twice), signer), "stands twice")


def test_the_largest_list_is_taken_and_one_byte_more_is_not(
    book: TargetListStore, signer: Signer
) -> None:
    def listed(pad: int) -> bytes:
        return msgspec.json.encode(TargetList(6, LATER, (GOOD,))) + b" " * pad

    room = MAX_LIST_BYTES - 99 - len(listed(0))
    assert MAX_LIST_BYTES == 256 * 1024
    large = signer.sign(listed(room), TARGETS, limit=MAX_LIST_BYTES)
    assert len(large) == MAX_LIST_BYTES
    refused(book, large + b" ", "bytes are too many")
    book.adopt(large, NOW)
    with pytest.raises(InputError, match="too many to sign"):
        signer.sign(listed(room + 1), TARGETS, limit=MAX_LIST_BYTES)


def test_too_many_targets_in_all(book: TargetListStore, signer: Signer) -> None:
    many = tuple(Target(f"t{number}", "dns", "192.5.5.241") for number in range(3000))
    more = tuple(replace(one, id=f"{one.id}b") for one in many)
    bad = TargetList(6, LATER, many, popular=more)
    message = signer.sign(msgspec.json.encode(bad), TARGETS, limit=2**20)
    if len(message) <= MAX_LIST_BYTES:
        refused(book, message, "targets are too many")
    else:
        refused(book, message, "bytes are too many")


def test_what_was_refused_is_remembered_until_a_good_list_comes(
    book: TargetListStore, signer: Signer
) -> None:
    assert book.rejection() is None
    refused(book, sign_target_list(TargetList(1, LATER, ()), signer), "not newer")
    refusal = book.rejection()
    assert refusal is not None
    assert (refusal.at, "not newer than 5" in refusal.reason) == (NOW, True)
    book.adopt(sign_target_list(TargetList(6, LATER, (GOOD,)), signer), NOW)
    assert book.rejection() is None


def test_the_same_list_once_more_is_no_news_and_no_refusal(
    book: TargetListStore, signer: Signer
) -> None:
    message = sign_target_list(TargetList(6, LATER, (GOOD,)), signer)
    assert book.receive(message, NOW)
    assert not book.receive(message, NOW)
    assert book.rejection() is None
    assert not book.receive(b"garbage", NOW)
    assert book.rejection() is not None


def test_over_the_wire_nothing_is_taken_from_whom_nobody_named(
    tmp_path: Path, signer: Signer
) -> None:
    message = sign_target_list(TargetList(6, LATER, (GOOD,)), signer)
    stranger = TargetListStore(tmp_path / "new")
    assert not stranger.receive(message, NOW)
    assert stranger.current() is None
    assert TargetListStore(tmp_path / "new", key=signer.public).receive(message, NOW)
    assert stranger.current() is not None


@pytest.mark.parametrize("harm", [b"", b"garbage", b"\x93\xc4\x00\xc4\x05hello\xc0"])
def test_a_damaged_file_stops_nobody_and_the_next_list_mends_it(
    book: TargetListStore, signer: Signer, tmp_path: Path, harm: bytes
) -> None:
    (tmp_path / "targets").write_bytes(harm)
    fresh = TargetListStore(tmp_path / "targets", key=signer.public)
    assert fresh.current() is None
    fresh.adopt(sign_target_list(TargetList(6, LATER, (GOOD,)), signer), NOW)
    assert fresh.current() is not None


def test_a_list_that_another_process_took_up_is_seen(
    book: TargetListStore, signer: Signer, tmp_path: Path
) -> None:
    running = TargetListStore(tmp_path / "targets")
    assert running.current().version == 5
    book.adopt(sign_target_list(TargetList(6, LATER, (GOOD, replace(GOOD, id="x"))), signer), NOW)
    assert running.current().version == 6


def test_the_list_of_an_observatory_that_was_left_holds_no_more(
    book: TargetListStore, signer: Signer, tmp_path: Path
) -> None:
    last = TargetList(2**53 - 1, LATER, (GOOD,), pause_until=LATER)
    book.adopt(sign_target_list(last, signer), NOW)
    other = Signer(Ed25519PrivateKey.generate())
    moved = TargetListStore(tmp_path / "targets", key=other.public)
    assert moved.current() is None
    assert moved.receive(sign_target_list(TargetList(6, LATER, (GOOD,)), other), NOW)
    found = moved.current()
    assert found is not None
    assert (found.version, found.pause_until) == (6, None)
