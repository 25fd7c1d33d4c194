"""The agent's side of enrollment: asks once with a token, and keeps what it was told."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec

from netwatch.agent.http_client import Exchange
from netwatch.agent.identity import Identity
from netwatch.agent.private_files import write_private
from netwatch.model.errors import ConfigError, InputError
from netwatch.wire.enrollment import (
    ENROLLMENT_PATH,
    ERASURE_PATH,
    KEY_CHANGE_PATH,
    MAX_REQUEST_BYTES,
    EnrollmentRequest,
    EnrollmentResponse,
    Erasure,
    Invitation,
    KeyChange,
    check_url,
    pack,
    unpack,
)
from netwatch.wire.sealed_box import seal
from netwatch.wire.signing import ENROLLED, ENROLLMENT, ERASURE, KEY_CHANGE, open_signed

_Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Enrollment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent knows of the observatory that it is enrolled with.

    Attributes:
        url: root of its HTTP service.
        collector: the collector's public key, in hexadecimal.
        targets_key: the key that its target lists are signed with, in hexadecimal.
        brokers: where batches go, `mqtt[s]://host:port` or `ws[s]://…`, best first.
    """

    url: str
    collector: _Hex
    targets_key: _Hex
    brokers: tuple[str, ...] = ()


class EnrollmentFile:
    """The file that keeps what enrollment told.

    Raises:
        ConfigError: from every method, when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Enrollment | None:
        """Return what is known of the observatory, None before enrollment."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Enrollment)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{self._path}: cannot be used: {error}") from error

    def write(self, enrolled: Enrollment) -> None:
        """Keep what is known, whole or not at all."""
        try:
            write_private(self._path, msgspec.json.encode(enrolled))
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be written: {error.strerror}") from error


async def enroll(
    invitation: Invitation, request: EnrollmentRequest, identity: Identity, *, send: Exchange
) -> Enrollment:
    """Enroll with the observatory that the invitation names, and return what it told.

    Raises:
        InputError: it refuses, and why; or what answered is not who invited us.
        LinkError: nobody answered.
    """
    url = check_url(invitation.url)
    signed = identity.signer.sign(pack(request), ENROLLMENT)
    answer = await _ask(url + ENROLLMENT_PATH, signed, collector=invitation.key, send=send)
    if answer.name != request.name:
        raise InputError("enrollment: the answer is for somebody else")
    key = answer.targets_key.hex()
    return Enrollment(url, invitation.key.hex(), key, answer.brokers)


async def change_key(
    enrolled: Enrollment, name: str, *, old: Identity, new: Identity, send: Exchange
) -> None:
    """Have the observatory take `new` for `old`'s key.

    Raises:
        InputError: it refuses, and why.
        LinkError: nobody answered.
    """
    collector = bytes.fromhex(enrolled.collector)
    inner = new.signer.sign(pack(KeyChange(collector, name)), KEY_CHANGE)
    signed = old.signer.sign(inner, KEY_CHANGE)
    await _ask(enrolled.url + KEY_CHANGE_PATH, signed, collector=collector, send=send)


async def erase(enrolled: Enrollment, name: str, identity: Identity, *, send: Exchange) -> None:
    """Have the observatory forget this agent: its key, its place, and every batch of it.

    Raises:
        InputError: it refuses, and why.
        LinkError: nobody answered.
    """
    collector = bytes.fromhex(enrolled.collector)
    signed = identity.signer.sign(pack(Erasure(collector, name)), ERASURE)
    await _ask(enrolled.url + ERASURE_PATH, signed, collector=collector, send=send)


async def _ask(url: str, message: bytes, *, collector: bytes, send: Exchange) -> EnrollmentResponse:
    """Return the collector's own answer to a message.

    Raises:
        InputError: the answer is a refusal, or not the collector's.
        LinkError: nobody answered.
    """
    sealed, reply = seal(message, collector)
    plain = reply.open(await send(url, sealed, MAX_REQUEST_BYTES))
    inner, key = open_signed(plain, ENROLLED)
    answer = unpack(inner, EnrollmentResponse)
    if key != collector or answer.request != sha256(sealed).digest():
        raise InputError("answer: not from whom we asked")
    if answer.refused:
        raise InputError(f"the observatory says: {answer.refused}")
    return answer
