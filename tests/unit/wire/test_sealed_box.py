"""Sealed messages: read by one, answered by one, and damaged by nobody unnoticed."""

from hashlib import sha512

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.errors import InputError
from netwatch.wire.sealed_box import _to_x25519, open_sealed, seal
from netwatch.wire.signing import Signer


def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


@given(st.binary(min_size=32, max_size=32))
def test_both_ways_to_a_key_in_the_other_coordinates_meet(seed: bytes) -> None:
    ours = Signer(Ed25519PrivateKey.from_private_bytes(seed))
    scalar = X25519PrivateKey.from_private_bytes(sha512(ours.seed()).digest()[:32])
    assert _to_x25519(ours.public) == scalar.public_key().public_bytes_raw()


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_a_message_and_its_answer_arrive(message: bytes, answer: bytes) -> None:
    collector = signer()
    sealed, reply = seal(message, collector.public)
    found, back = open_sealed(sealed, collector)
    assert found == message
    assert reply.open(back.close(answer)) == answer


def test_nobody_else_reads_it_or_answers() -> None:
    collector, other = signer(), signer()
    sealed, reply = seal(b"secret of sixteen", collector.public)
    assert b"secret" not in sealed
    with pytest.raises(InputError, match="not sealed for us"):
        open_sealed(sealed, other)
    _, another = seal(b"x", collector.public)
    with pytest.raises(InputError, match="not from whom we asked"):
        reply.open(another.close(b"yes"))


@pytest.mark.parametrize("place", [0, 31, 32, 40, -1])
def test_damage_is_noticed(place: int) -> None:
    collector = signer()
    sealed = bytearray(seal(b"hello", collector.public)[0])
    sealed[place] ^= 1
    with pytest.raises(InputError):
        open_sealed(bytes(sealed), collector)


@pytest.mark.parametrize(
    "message", [b"", b"x" * 31, bytes(32), bytes(48), bytes(100), b"\xff" * 64]
)
def test_garbage_is_no_message(message: bytes) -> None:
    with pytest.raises(InputError):
        open_sealed(message, signer())


@pytest.mark.parametrize("key", [b"", bytes(31), b"\x01" + bytes(31), bytes(32)])
def test_what_is_no_key_is_not_sealed_for(key: bytes) -> None:
    with pytest.raises(InputError, match="key"):
        seal(b"hello", key)


def test_a_message_that_is_repeated_is_never_answered_under_the_same_nonce() -> None:
    collector = signer()
    sealed, reply = seal(b"hello", collector.public)
    answers = [open_sealed(sealed, collector)[1].close(b"the same words") for _ in range(2)]
    assert answers[0] != answers[1]
    assert [reply.open(answer) for answer in answers] == [b"the same words"] * 2
