"""The collector's side of enrollment: answers encrypted requests with signed responses.

A message that is not encrypted to the collector's key, or not signed by its sender, is not a
request: InputError. A request that cannot be granted gets a response with the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from netwatch.collector.registry import Registry
from netwatch.model.errors import InputError
from netwatch.protocols import Clock
from netwatch.wire import enrollment
from netwatch.wire.request_encryption import decrypt_request, encrypt_reply
from netwatch.wire.signing import ENROLLED, ENROLLMENT, ERASURE, KEY_CHANGE, Signer, open_signed


@dataclass(frozen=True, slots=True)
class EnrollmentGrant:
    """What an enrolled agent receives; see `netwatch.wire.enrollment.EnrollmentResponse`."""

    targets_key: bytes
    brokers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnrollmentService:
    """Answers enrollments, key changes and erasures; each call opens the files anew.

    `open_registry` opens the collector's tables of agents; `erase_agent` deletes everything about
    an agent, by its name.

    Raises:
        InputError: from every method, if the message is not a valid request.
        StoreError: from every method, if the tables cannot be used; nothing was changed.
    """

    open_registry: Callable[[], Registry]
    erase_agent: Callable[[str], object]
    signer: Signer
    grant: EnrollmentGrant
    clock: Clock

    def enroll(self, encrypted: bytes) -> bytes:
        """Return the response to an enrollment request."""
        plain, reply_key = self._decrypt(encrypted)
        inner, key = open_signed(plain, ENROLLMENT)
        request = enrollment.unpack(inner, enrollment.EnrollmentRequest)
        if key is None or request.collector != self.signer.public:
            raise InputError("enrollment: not signed by its sender, or for another collector")
        digest = sha256(request.secret).digest()

        def enroll(registry: Registry) -> None:
            registry.enroll(digest, request, key=key, now=self.clock())

        return self._respond(encrypted, request.name, enroll, reply_key)

    def change_key(self, encrypted: bytes) -> bytes:
        """Return the response to a key change."""
        plain, reply_key = self._decrypt(encrypted)
        inner, old = open_signed(plain, KEY_CHANGE)
        innermost, new = open_signed(inner, KEY_CHANGE)
        change = enrollment.unpack(innermost, enrollment.KeyChange)
        if old is None or new is None or change.collector != self.signer.public:
            raise InputError("key change: not signed with both keys, or for another collector")

        def change_key(registry: Registry) -> None:
            registry.change_key(change.name, old, new, now=self.clock())

        return self._respond(encrypted, change.name, change_key, reply_key)

    def erase(self, encrypted: bytes) -> bytes:
        """Erase an agent on its request; return the response.

        Bins that its measurements were counted in stay: they are sums over many agents.
        """
        plain, reply_key = self._decrypt(encrypted)
        inner, key = open_signed(plain, ERASURE)
        erasure = enrollment.unpack(inner, enrollment.Erasure)
        if key is None or erasure.collector != self.signer.public:
            raise InputError("erasure: not signed by its sender, or for another collector")

        def erase(registry: Registry) -> None:
            pinned = registry.key_of(erasure.name)
            if pinned == key:
                self.erase_agent(erasure.name)
            elif pinned is not None:
                raise InputError("this is not signed with the key that is known here")

        return self._respond(encrypted, erasure.name, erase, reply_key)

    def _decrypt(self, message: bytes) -> tuple[bytes, bytes]:
        if len(message) > enrollment.MAX_REQUEST_BYTES:
            raise InputError(f"message: {len(message)} bytes are too many")
        return decrypt_request(message, self.signer)

    def _respond(
        self, encrypted: bytes, name: str, action: Callable[[Registry], None], reply_key: bytes
    ) -> bytes:
        """Perform `action`; return a signed response, valid for this request only."""
        refused, grant = "", self.grant
        with self.open_registry() as registry:
            try:
                action(registry)
            except InputError as error:
                refused, grant = str(error), EnrollmentGrant(b"")
        request = sha256(encrypted).digest()
        response = enrollment.EnrollmentResponse(
            refused, name, grant.targets_key, grant.brokers, request
        )
        return encrypt_reply(self.signer.sign(enrollment.pack(response), ENROLLED), reply_key)
