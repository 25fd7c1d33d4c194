"""The collector's side of enrollment: reads sealed requests, and signs what it answers.

Whatever is not sealed for our key, or not signed by who asks, is no request: InputError. What
is one and cannot be granted is answered with the reason, signed like any other answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from netwatch.collector.registry import Registry
from netwatch.model.errors import InputError
from netwatch.protocols import Clock
from netwatch.wire.enrollment import (
    MAX_REQUEST_BYTES,
    EnrollmentRequest,
    EnrollmentResponse,
    Erasure,
    KeyChange,
    pack,
    unpack,
)
from netwatch.wire.sealed_box import decrypt_request, encrypt_reply
from netwatch.wire.signing import ENROLLED, ENROLLMENT, ERASURE, KEY_CHANGE, Signer, open_signed


@dataclass(frozen=True, slots=True)
class EnrollmentGrant:
    """What an enrolled agent receives; see `netwatch.wire.enrollment.EnrollmentResponse`."""

    targets_key: bytes
    brokers: tuple[str, ...] = ()


class EnrollmentService:
    """Answers enrollments, changes of keys, and erasures; each call opens the files anew.

    Args:
        open_registry: opens the collector's tables.
        forget: erases whatever is kept of an agent, by its name.
        signer: holds the collector's key.
        offer: what agents are told.
        clock: the wall clock.

    Raises:
        InputError: from every method: what came is no request.
        StoreError: from every method: the tables cannot be used; nothing was changed.
    """

    def __init__(
        self,
        open_registry: Callable[[], Registry],
        forget: Callable[[str], object],
        *,
        signer: Signer,
        offer: EnrollmentGrant,
        clock: Clock,
    ) -> None:
        self._open_registry, self._forget = open_registry, forget
        self._signer, self._offer, self._clock = signer, offer, clock

    def enroll(self, sealed: bytes) -> bytes:
        """Return the answer to a request for enrollment, closed for who asked."""
        plain, reply_key = decrypt_request(_bounded(sealed), self._signer)
        inner, key = open_signed(plain, ENROLLMENT)
        request = unpack(inner, EnrollmentRequest)
        if key is None or request.collector != self._signer.public:
            raise InputError("enrollment: not signed by who asks, or meant for another collector")
        digest = sha256(request.secret).digest()
        refused = ""
        with self._open_registry() as registry:
            try:
                registry.enroll(digest, request, key=key, now=self._clock())
            except InputError as error:
                refused = str(error)
        return encrypt_reply(self._answer(sealed, request.name, refused), reply_key)

    def change_key(self, sealed: bytes) -> bytes:
        """Return the answer to a change of keys, closed for who asked."""
        plain, reply_key = decrypt_request(_bounded(sealed), self._signer)
        inner, old = open_signed(plain, KEY_CHANGE)
        innermost, new = open_signed(inner, KEY_CHANGE)
        change = unpack(innermost, KeyChange)
        if old is None or new is None or change.collector != self._signer.public:
            raise InputError(
                "key change: not signed with both keys, or meant for another collector"
            )
        refused = ""
        with self._open_registry() as registry:
            try:
                registry.change_key(change.name, old, new, now=self._clock())
            except InputError as error:
                refused = str(error)
        return encrypt_reply(self._answer(sealed, change.name, refused), reply_key)

    def erase(self, sealed: bytes) -> bytes:
        """Erase an agent that wishes it; return the answer, closed for who asked.

        Counts that its measurements are part of stay: they are sums over many.
        """
        plain, reply_key = decrypt_request(_bounded(sealed), self._signer)
        inner, key = open_signed(plain, ERASURE)
        wish = unpack(inner, Erasure)
        if key is None or wish.collector != self._signer.public:
            raise InputError("erasure: not signed by who asks, or meant for another collector")
        with self._open_registry() as registry:
            known = registry.key_of(wish.name)
        refused = (
            "" if known in {None, key} else "this is not signed with the key that is known here"
        )
        if known == key:
            self._forget(wish.name)
        return encrypt_reply(self._answer(sealed, wish.name, refused), reply_key)

    def _answer(self, sealed: bytes, name: str, refused: str) -> bytes:
        """Return a signed answer to one message and no other."""
        asked = sha256(sealed).digest()
        offer = self._offer if not refused else EnrollmentGrant(b"")
        answer = EnrollmentResponse(refused, name, offer.targets_key, offer.brokers, asked)
        return self._signer.sign(pack(answer), ENROLLED)


def _bounded(message: bytes) -> bytes:
    """Return a message that is not too large to be looked at."""
    if len(message) > MAX_REQUEST_BYTES:
        raise InputError(f"message: {len(message)} bytes are too many")
    return message
