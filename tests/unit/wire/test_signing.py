import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch, Vantage
from netwatch.wire.batch_codec import BATCH, unpack_batch
from netwatch.wire.signing import MAX_MESSAGE_BYTES, Signer, open_signed

PLAIN = BATCH.pack(Batch(Vantage("a1"), 7, ()))
PURPOSE = BATCH.purpose


@pytest.fixture
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def test_a_signed_message_round_trips(signer: Signer) -> None:
    assert open_signed(signer.sign(PLAIN, PURPOSE), PURPOSE) == (PLAIN, signer.public)
    assert unpack_batch(signer.sign(PLAIN, PURPOSE)).sequence == 7


def test_an_unsigned_message_has_no_key() -> None:
    assert open_signed(PLAIN, PURPOSE) == (PLAIN, None)


def test_every_changed_byte_is_noticed(signer: Signer) -> None:
    signed = signer.sign(PLAIN, PURPOSE)
    for place in range(3, len(signed)):
        damaged = bytearray(signed)
        damaged[place] ^= 1
        with pytest.raises(InputError, match="signature is invalid"):
            open_signed(bytes(damaged), PURPOSE)


def test_a_signature_is_invalid_for_another_purpose(signer: Signer) -> None:
    with pytest.raises(InputError):
        open_signed(signer.sign(PLAIN, PURPOSE), b"another purpose")


@pytest.mark.parametrize("length", [3, 40, 98, 99])
def test_a_cut_message(signer: Signer, length: int) -> None:
    with pytest.raises(InputError):
        open_signed(signer.sign(PLAIN, PURPOSE)[:length], PURPOSE)


def test_an_oversized_message_is_not_signed(signer: Signer) -> None:
    with pytest.raises(InputError, match="too many to sign"):
        signer.sign(b"x" * (MAX_MESSAGE_BYTES - 50), PURPOSE)
