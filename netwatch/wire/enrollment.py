"""What an agent and a collector say to each other once: invitation, request, answer.

An invitation is a line of text that the operator gives to a volunteer by some way that both
trust. It carries a secret that is good for one enrollment, and the collector's key: what the
agent sends is sealed for that key and what it hears must be signed with it, so that whoever
sits between them, with whatever certificate, learns nothing and can answer nothing.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from hashlib import sha256
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import msgspec

from netwatch.model.errors import InputError

ENROLLMENT_PATH = "/v1/enrollments"
KEY_CHANGE_PATH = "/v1/keys"
ERASURE_PATH = "/v1/erasures"
TARGET_LIST_PATH = "/v1/targets"
MAX_REQUEST_BYTES = 4096
"""Bytes of the largest message of these, either way."""
_PREFIX = "netwatch-1-"
_CHECK = 4
_KEY = 32
_SECRET = 16

Key = Annotated[bytes, msgspec.Meta(min_length=_KEY, max_length=_KEY)]
Secret = Annotated[bytes, msgspec.Meta(min_length=_SECRET, max_length=_SECRET)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Country = Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{2})?\Z")]
Network = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
Region = Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{2}-[A-Z0-9]{1,3})?\Z")]
_Address = Annotated[str, msgspec.Meta(max_length=300)]
_Words = Annotated[str, msgspec.Meta(max_length=300)]


class _Said(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of what travels."""


class Invitation(_Said, frozen=True):
    """What stands in a token.

    Attributes:
        secret: 16 random bytes, good for one enrollment.
        key: the collector's public key.
        url: root of the collector's HTTP service.
    """

    secret: Secret
    key: Key
    url: _Address

    def text(self) -> str:
        """Return the token, one word that is safe to copy: a typing error is noticed."""
        packed = pack(self)
        whole = packed + sha256(packed).digest()[:_CHECK]
        return _PREFIX + urlsafe_b64encode(whole).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Invitation":
        """Return the invitation that a token carries; spaces and line breaks do not matter.

        Raises:
            InputError: it is none, or was not copied whole.
        """
        word = "".join(text.split())
        if not word.startswith(_PREFIX) or len(word) > 1000:
            raise InputError(f"token: is none; one begins with {_PREFIX}")
        body = word.removeprefix(_PREFIX)
        try:
            whole = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        except (BinasciiError, ValueError) as error:
            raise InputError("token: was not copied whole") from error
        packed, check = whole[:-_CHECK], whole[-_CHECK:]
        if sha256(packed).digest()[:_CHECK] != check:
            raise InputError("token: was not copied whole")
        return unpack(packed, cls)

    @property
    def digest(self) -> bytes:
        """What the collector keeps of the secret."""
        return sha256(self.secret).digest()


class EnrollmentRequest(_Said, frozen=True):
    """What an agent asks for, signed with its key and sealed for the collector.

    Attributes:
        secret: the invitation's.
        collector: the key of the collector that is asked, so that nobody asks another with it.
        name: what the agent calls itself.
        country, network: where it is; nothing finer leaves the machine but
        region: the region, where the host chose to tell it.
        consent: version of the text that the host agreed to.
        software: the agent's version.
    """

    secret: Secret
    collector: Key
    name: Name
    country: Country
    network: Network
    region: Region
    consent: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    software: Annotated[str, msgspec.Meta(max_length=64)]


class EnrollmentResponse(_Said, frozen=True):
    """What the collector answers, signed.

    Attributes:
        refused: why not, in words for the host; empty where it is done.
        name: the agent's name from here on.
        targets_key: the key that target lists are signed with.
        brokers: where batches go, each `mqtt[s]://host:port` or `ws[s]://…`.
        request: SHA-256 of the sealed request that this answers.
    """

    refused: _Words
    name: Annotated[str, msgspec.Meta(max_length=64)]
    targets_key: Annotated[bytes, msgspec.Meta(max_length=_KEY)]
    brokers: Annotated[tuple[_Address, ...], msgspec.Meta(max_length=8)]
    request: Key


class KeyChange(_Said, frozen=True):
    """A new key for an agent: signed with the new one, and that with the old one."""

    collector: Key
    name: Name


class Erasure(_Said, frozen=True):
    """An agent's wish that the collector forgets it, signed with its key."""

    collector: Key
    name: Name


_encode = msgspec.msgpack.Encoder().encode
_Kind = TypeVar("_Kind", Invitation, EnrollmentRequest, EnrollmentResponse, KeyChange, Erasure)


def pack(said: Invitation | EnrollmentRequest | EnrollmentResponse | KeyChange | Erasure) -> bytes:
    """Return what is said as a message."""
    return _encode(said)


def unpack(message: bytes, kind: type[_Kind]) -> _Kind:
    """Return what a message says.

    Raises:
        InputError: it says something else.
    """
    if len(message) > MAX_REQUEST_BYTES:
        raise InputError(f"message: {len(message)} bytes are too many")
    try:
        return msgspec.msgpack.decode(message, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"message: is no {kind.__name__.lower()}: {error}") from error


def check_url(url: str) -> str:
    """Return the root of an HTTP service without a slash at its end.

    Raises:
        InputError: it is none.
    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise InputError(f"{url[:80]!r} is no address; write https://example.org")
    return url.rstrip("/")
