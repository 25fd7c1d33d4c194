"""Encrypted requests and replies: only the holder of the right key reads them."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.errors import InputError
from netwatch.wire.request_encryption import (
    decrypt_reply,
    decrypt_request,
    encrypt_reply,
    encrypt_request,
    encryption_key,
)
from netwatch.wire.signing import Signer


def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def test_the_encryption_key_follows_from_the_signing_key_and_differs_from_it() -> None:
    collector = signer()
    again = Signer(Ed25519PrivateKey.from_private_bytes(collector.private_bytes()))
    assert encryption_key(collector) == encryption_key(again) != collector.public
    assert encryption_key(collector) != encryption_key(signer())


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_a_request_and_its_reply_arrive(message: bytes, answer: bytes) -> None:
    collector = signer()
    request, reply_key = encrypt_request(message, encryption_key(collector))
    received, reply_to = decrypt_request(request, collector)
    assert received == message
    assert decrypt_reply(encrypt_reply(answer, reply_to), reply_key) == answer


def test_only_the_addressee_reads_a_request_or_a_reply() -> None:
    collector, other = signer(), signer()
    request, reply_key = encrypt_request(b"secret of sixteen", encryption_key(collector))
    assert b"secret" not in request
    with pytest.raises(InputError, match="request: damaged, or encrypted to another key"):
        decrypt_request(request, other)
    another, _ = encrypt_request(b"x", encryption_key(collector))
    _, reply_to = decrypt_request(another, collector)
    with pytest.raises(InputError, match="reply: damaged, or encrypted to another key"):
        decrypt_reply(encrypt_reply(b"yes", reply_to), reply_key)


def test_the_key_for_the_reply_is_not_visible_in_the_request() -> None:
    collector = signer()
    request, reply_key = encrypt_request(b"hello", encryption_key(collector))
    assert reply_key.public_key().public_bytes_raw() not in request


def test_a_request_is_not_a_reply() -> None:
    collector = signer()
    _, reply_key = encrypt_request(b"hello", encryption_key(collector))
    reply_to = reply_key.public_key().public_bytes_raw()
    with pytest.raises(InputError):
        decrypt_reply(encrypt_request(b"hello", reply_to)[0], reply_key)


@pytest.mark.parametrize("index", [0, 31, 32, 40, -1])
def test_damage_is_detected(index: int) -> None:
    collector = signer()
    request = bytearray(encrypt_request(b"hello", encryption_key(collector))[0])
    request[index] ^= 1
    with pytest.raises(InputError):
        decrypt_request(bytes(request), collector)


@pytest.mark.parametrize(
    "garbage", [b"", b"x" * 31, bytes(32), bytes(48), bytes(100), b"\xff" * 64]
)
def test_garbage_is_an_input_error(garbage: bytes) -> None:
    with pytest.raises(InputError):
        decrypt_request(garbage, signer())


@pytest.mark.parametrize("key", [b"", bytes(31), b"\x01" + bytes(31), bytes(32)])
def test_invalid_keys_are_refused(key: bytes) -> None:
    with pytest.raises(InputError, match="not an X25519 key"):
        encrypt_request(b"hello", key)
    with pytest.raises(InputError, match="not an X25519 key"):
        encrypt_reply(b"hello", key)


def test_a_repeated_request_is_never_answered_with_the_same_bytes() -> None:
    collector = signer()
    request, reply_key = encrypt_request(b"hello", encryption_key(collector))
    replies = [
        encrypt_reply(b"the same words", decrypt_request(request, collector)[1]) for _ in range(2)
    ]
    assert replies[0] != replies[1]
    assert [decrypt_reply(one, reply_key) for one in replies] == [b"the same words"] * 2
