"""Decoding of foreign bytes: every failure is one InputError of one line."""

from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.errors import InputError
from netwatch.wire.ack import unpack_ack
from netwatch.wire.decode import decode
from netwatch.wire.enrollment import EnrollmentRequest, Invitation, unpack
from netwatch.wire.presence_message import unpack_presence
from netwatch.wire.rate_advice import unpack_rate_advice

TEXT = msgspec.json.Decoder(dict[str, str])


def test_returns_the_value() -> None:
    assert decode(b'{"a":"b"}', TEXT, what="words", limit=9) == {"a": "b"}


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b'{"a":1}', b'{"a":"\xff\xfe"}', b"[" * 2000, b'{"a":"\xed\xa0"}']
)
def test_every_failure_is_an_input_error_that_names_the_payload(payload: bytes) -> None:
    with pytest.raises(InputError, match=r"^words: ") as caught:
        decode(payload, TEXT, what="words", limit=10_000)
    assert len(str(caught.value)) < 250


def test_size_is_checked_first() -> None:
    with pytest.raises(InputError, match="words: 9 bytes are more than 8"):
        decode(b'{"a":"b"}', TEXT, what="words", limit=8)


@pytest.mark.parametrize(
    ("unpack_payload", "payload"),
    [
        (unpack_ack, b"\x84\xa5agent\xa2\xff\xfe"),
        (unpack_ack, b"\x81\xa2\xff\xfe\xc0"),
        (unpack_presence, b'{"state":"up","boot":"\xff\xfe"}'),
        (unpack_presence, b'{"\xff\xfe":1}'),
    ],
)
def test_text_that_is_not_utf8_is_an_input_error(
    unpack_payload: Callable[[bytes], object], payload: bytes
) -> None:
    with pytest.raises(InputError):
        unpack_payload(payload)


@given(
    st.binary(max_size=200),
    st.sampled_from(
        [
            unpack_ack,
            unpack_presence,
            unpack_rate_advice,
            lambda payload: unpack(payload, EnrollmentRequest),
            lambda payload: unpack(payload, Invitation),
        ]
    ),
)
def test_random_bytes_raise_nothing_else(
    payload: bytes, unpack_payload: Callable[[bytes], object]
) -> None:
    with suppress(InputError):
        unpack_payload(payload)
