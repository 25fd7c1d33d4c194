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
from netwatch.wire.message_format import check_size
from netwatch.wire.request_encryption import decrypt_request, encrypt_reply
from netwatch.wire.signing import Signer


@dataclass(frozen=True, slots=True)
class EnrollmentService:
    """Answers enrollments, key changes and erasures; each call opens the files anew.

    `open_registry` opens the collector's tables of agents; `erase_agent` deletes everything about
    an agent, by its name. `targets_key` and `brokers` are what an enrolled agent receives; see
    `netwatch.wire.enrollment.EnrollmentResponse`.

    Raises:
        InputError: from every method, if the message is not a valid request.
        StoreError: from every method, if the tables cannot be used; nothing was changed.
    """

    open_registry: Callable[[], Registry]
    erase_agent: Callable[[str], object]
    signer: Signer
    targets_key: bytes
    brokers: tuple[str, ...]
    clock: Clock

    def enroll(self, encrypted: bytes) -> bytes:
        """Return the response to an enrollment request."""
        message, reply_key = self._decrypt(encrypted)
        request, key = enrollment.ENROLLMENT.unpack(message)
        if key is None or request.collector != self.signer.public:
            raise InputError("enrollment: not signed by its sender, or for another collector")
        digest = sha256(request.secret).digest()

        def enroll(registry: Registry) -> None:
            registry.enroll(digest, request, key=key, now=self.clock())

        return self._respond(encrypted, request.name, enroll, reply_key)

    def change_key(self, encrypted: bytes) -> bytes:
        """Return the response to a key change."""
        message, reply_key = self._decrypt(encrypted)
        inner, old = enrollment.KEY_CHANGE.verify(message)
        change, new = enrollment.KEY_CHANGE.unpack(inner)
        if old is None or new is None or change.collector != self.signer.public:
            raise InputError("key change: not signed with both keys, or for another collector")

        def change_key(registry: Registry) -> None:
            registry.change_key(change.name, old, new, now=self.clock())

        return self._respond(encrypted, change.name, change_key, reply_key)

    def erase(self, encrypted: bytes) -> bytes:
        """Erase an agent on its request; return the response.

        Bins that its measurements were counted in stay: they are sums over many agents.
        """
        message, reply_key = self._decrypt(encrypted)
        erasure, key = enrollment.ERASURE.unpack(message)
        if key is None or erasure.collector != self.signer.public:
            raise InputError("erasure: not signed by its sender, or for another collector")

        def erase(registry: Registry) -> None:
            pinned = registry.key_of(erasure.name)
            if pinned == key:
                self.erase_agent(erasure.name)
            elif pinned is not None:
                raise InputError("this is not signed with the key that is known here")

        return self._respond(encrypted, erasure.name, erase, reply_key)

    def _decrypt(self, encrypted: bytes) -> tuple[bytes, bytes]:
        check_size(encrypted, what="message", limit=enrollment.MAX_REQUEST_BYTES)
        return decrypt_request(encrypted, self.signer)

    def _respond(
        self, encrypted: bytes, name: str, action: Callable[[Registry], None], reply_key: bytes
    ) -> bytes:
        """Perform `action`; return a signed response, valid for this request only."""
        request = sha256(encrypted).digest()
        response = enrollment.EnrollmentResponse("", name, self.targets_key, self.brokers, request)
        with self.open_registry() as registry:
            try:
                action(registry)
            except InputError as error:
                response = enrollment.EnrollmentResponse(str(error), name, b"", (), request)
        return encrypt_reply(enrollment.ENROLLED.pack(response, self.signer), reply_key)
