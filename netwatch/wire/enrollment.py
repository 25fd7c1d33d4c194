"""The messages of enrollment: invitation, request and response.

An invitation is a token that the operator gives to a volunteer over a channel that both trust.
It holds a secret for one enrollment and the collector's keys. Requests are encrypted to the
collector and its responses are signed, so that a party in between, with any certificate, can
neither read nor forge them.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import msgspec

from netwatch.model.errors import InputError
from netwatch.model.text import WORD_PATTERN
from netwatch.wire.message_format import MessageFormat, decode

ENROLLMENT_PATH = "/v1/enrollments"
KEY_CHANGE_PATH = "/v1/keys"
ERASURE_PATH = "/v1/erasures"
TARGET_LIST_PATH = "/v1/targets"
MAX_REQUEST_BYTES = 4096
"""Bytes of the largest of these messages."""
_PREFIX = "netwatch-2-"
"""How a token of this version begins."""
_CHECKSUM_BYTES = 4
_KEY_BYTES = 32
_SECRET_BYTES = 16
_MAX_TOKEN = 1000
"""Characters of the longest token that is decoded."""

Key = Annotated[bytes, msgspec.Meta(min_length=_KEY_BYTES, max_length=_KEY_BYTES)]
Secret = Annotated[bytes, msgspec.Meta(min_length=_SECRET_BYTES, max_length=_SECRET_BYTES)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
Country = Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{2})?\Z")]
Network = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
Region = Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{2}-[A-Z0-9]{1,3})?\Z")]
_Address = Annotated[str, msgspec.Meta(max_length=300)]
_Words = Annotated[str, msgspec.Meta(max_length=300)]


_Kind = TypeVar("_Kind")


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Invitation(_Message, frozen=True):
    """The content of a token.

    Attributes:
        secret: 16 random bytes, valid for one enrollment.
        key: the collector's public key, with which it signs.
        encryption_key: the collector's public key, to which requests are encrypted.
        url: root of the collector's HTTP service.
    """

    secret: Secret
    key: Key
    encryption_key: Key
    url: _Address

    def text(self) -> str:
        """Return the token: one word, with a checksum that catches copying errors."""
        packed = msgspec.msgpack.encode(self)
        whole = packed + sha256(packed).digest()[:_CHECKSUM_BYTES]
        return _PREFIX + urlsafe_b64encode(whole).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Invitation":
        """Return the invitation in a token; spaces and line breaks are ignored.

        Raises:
            InputError: it is not a token, or was not copied completely.
        """
        word = "".join(text.split())
        if not word.startswith(_PREFIX) or len(word) > _MAX_TOKEN:
            raise InputError(f"token: does not begin with {_PREFIX}")
        body = word.removeprefix(_PREFIX)
        try:
            whole = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        except ValueError as error:
            raise InputError("token: not copied completely") from error
        packed, checksum = whole[:-_CHECKSUM_BYTES], whole[-_CHECKSUM_BYTES:]
        if sha256(packed).digest()[:_CHECKSUM_BYTES] != checksum:
            raise InputError("token: not copied completely")
        decoder = msgspec.msgpack.Decoder(cls).decode
        return decode(packed, decoder, what="token", limit=MAX_REQUEST_BYTES)

    @property
    def digest(self) -> bytes:
        """The hash of the secret, which is all that the collector stores of it."""
        return sha256(self.secret).digest()


class EnrollmentRequest(_Message, frozen=True):
    """An agent's request, signed with its key and encrypted to the collector.

    Attributes:
        secret: the invitation's.
        collector: the collector's public key, so that the request is valid for it alone.
        name: the agent's name.
        country, network: where the agent is.
        region: the region, if the host chose to share it.
        consent: version of the consent text that the host agreed to.
        software: the agent's version.
    """

    secret: Secret
    collector: Key
    name: Name
    country: Country
    network: Network
    region: Region
    consent: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    software: Annotated[str, msgspec.Meta(max_length=64, pattern=WORD_PATTERN)]


class EnrollmentResponse(_Message, frozen=True):
    """The collector's response, signed.

    Attributes:
        refused: the reason for a refusal, for the host; empty if the request is granted.
        name: the agent's name.
        targets_key: the public key of the observatory's target lists.
        brokers: where batches go, each `mqtt[s]://host:port` or `ws[s]://…`.
        request: SHA-256 of the encrypted request.
    """

    refused: _Words
    name: Annotated[str, msgspec.Meta(max_length=64)]
    targets_key: Annotated[bytes, msgspec.Meta(max_length=_KEY_BYTES)]
    brokers: Annotated[tuple[_Address, ...], msgspec.Meta(max_length=8)]
    request: Key


class AgentRequest(_Message, frozen=True):
    """A request of an enrolled agent about itself.

    A key change is signed with the new key, and that with the old one; an erasure, of everything
    about the agent, with its key.
    """

    collector: Key
    name: Name


def _format(name: str, kind: type[_Kind]) -> MessageFormat[_Kind]:
    purpose = f"netwatch-{name}-v1\0".encode()
    decoder = msgspec.msgpack.Decoder(kind).decode
    return MessageFormat(name, purpose, msgspec.msgpack.encode, decoder, limit=MAX_REQUEST_BYTES)


ENROLLMENT = _format("enrollment", EnrollmentRequest)
ENROLLED = _format("enrolled", EnrollmentResponse)
KEY_CHANGE = _format("key-change", AgentRequest)
ERASURE = _format("erasure", AgentRequest)


def check_url(url: str) -> str:
    """Return the root of an HTTP service without a slash at its end.

    Raises:
        InputError: it is not an HTTP address.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise InputError(f"{url[:80]!r} is not an address; write https://example.org")
    return url.rstrip("/")
