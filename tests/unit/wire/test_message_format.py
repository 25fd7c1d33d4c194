"""Every failure to decode bytes from outside is one InputError, and signatures come first."""

from contextlib import suppress

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from netwatch.agent.target_list import TARGET_LIST
from netwatch.model.errors import InputError
from netwatch.wire.ack import ACKNOWLEDGEMENT
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.enrollment import ENROLLED, ENROLLMENT, ERASURE, KEY_CHANGE
from netwatch.wire.message_format import MessageFormat, decode
from netwatch.wire.presence_message import PRESENCE, PresenceMessage
from netwatch.wire.rate_advice import RATE_ADVICE
from netwatch.wire.signing import Signer

TEXT = msgspec.json.Decoder(dict[str, str]).decode
FORMATS = [
    ACKNOWLEDGEMENT, BATCH, ENROLLED, ENROLLMENT, ERASURE, KEY_CHANGE, PRESENCE, RATE_ADVICE,
    TARGET_LIST,
]  # fmt: skip


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
    ("kind", "payload"),
    [
        (ACKNOWLEDGEMENT, b"\x84\xa5agent\xa2\xff\xfe"),
        (ACKNOWLEDGEMENT, b"\x81\xa2\xff\xfe\xc0"),
        (PRESENCE, b'{"state":"up","boot":"\xff\xfe"}'),
        (PRESENCE, b'{"\xff\xfe":1}'),
    ],
)
def test_text_that_is_not_utf8_is_an_input_error(
    kind: MessageFormat[object], payload: bytes
) -> None:
    with pytest.raises(InputError):
        kind.unpack(payload)


def test_purposes_differ() -> None:
    assert len({kind.purpose for kind in FORMATS}) == len(FORMATS)


@given(st.binary(max_size=200), st.sampled_from(FORMATS))
def test_random_bytes_raise_nothing_else(message: bytes, kind: MessageFormat[object]) -> None:
    with suppress(InputError):
        kind.unpack(message)


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_nothing_is_decoded_before_its_signature_is_verified(kind: MessageFormat[object]) -> None:
    signer = Signer(Ed25519PrivateKey.generate())
    decoded = []
    watched = MessageFormat(kind.name, kind.purpose, bytes, decoded.append, limit=kind.limit)
    message = signer.sign(b"content", kind.purpose, limit=kind.limit)
    assert watched.unpack(message)[1] == signer.public
    assert decoded == [b"content"]
    for false in (message[:-1] + b"?", signer.sign(b"content", b"other"), message[:60]):
        with pytest.raises(InputError, match="signature is invalid"):
            watched.unpack(false)
    with pytest.raises(InputError, match=f"^{kind.name}: .* bytes are more than {kind.limit}$"):
        watched.unpack(message + bytes(kind.limit))
    assert decoded == [b"content"]


@pytest.mark.parametrize("signer", [None, Signer(Ed25519PrivateKey.generate())])
def test_a_message_that_no_receiver_accepts_is_not_made(signer: Signer | None) -> None:
    with pytest.raises(InputError, match="bytes are"):
        PRESENCE.pack(PresenceMessage("up", "x" * PRESENCE.limit, 1, 1), signer)
