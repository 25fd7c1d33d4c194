"""The collector's side of enrollment: answers encrypted requests with signed responses.

A message that is not encrypted to the collector's key, or not signed by its sender, is not a
request: InputError. A request that cannot be granted gets a response with the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from netwatch.collector.agent_tables import Standing
from netwatch.collector.known_senders import KnownSenders
from netwatch.collector.registry import Registry
from netwatch.model.errors import InputError
from netwatch.model.steady_clock import as_steady
from netwatch.protocols import Clock
from netwatch.wire import enrollment
from netwatch.wire.message_format import check_size
from netwatch.wire.request_encryption import decrypt_request, encrypt_reply
from netwatch.wire.signing import Signer


@dataclass(frozen=True, slots=True)
class AgentCall:
    """A valid request.

    Attributes:
        sender: the token's digest or the agent's key.
        standing: what is known of it here.
        grant: does what is asked, and returns the signed response; blocks.
    """

    sender: bytes
    standing: Standing
    grant: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class EnrollmentService:
    """Reads enrollments, key changes and erasures, and grants them.

    `open_registry` opens the collector's tables of agents; `erase_agent` deletes everything about
    an agent, by its name. `targets_key` and `brokers` are what an enrolled agent receives; see
    `netwatch.wire.enrollment.EnrollmentResponse`. The `read` methods are for one thread.

    Raises:
        InputError: from every `read` method, if the message is not a valid request.
        StoreError: also from `grant`, if the tables cannot be used; nothing was changed.
    """

    open_registry: Callable[[], Registry]
    erase_agent: Callable[[str], object]
    signer: Signer
    targets_key: bytes
    brokers: tuple[str, ...]
    clock: Clock
    senders: KnownSenders = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "senders", KnownSenders(self.open_registry))

    def read_enrollment(self, encrypted: bytes) -> AgentCall:
        """Read an enrollment request."""
        message, reply_key = self._decrypt(encrypted)
        request, key = enrollment.ENROLLMENT.unpack(message)
        if key is None or request.collector != self.signer.public:
            raise InputError("enrollment: not signed by its sender, or for another collector")
        digest = sha256(request.secret).digest()

        def enroll(registry: Registry) -> None:
            registry.enroll(digest, request, key=key, now=self._sure_time())

        grant = self._granting(encrypted, request.name, enroll, reply_key)
        return AgentCall(digest, self.senders.invited(digest), grant)

    def read_key_change(self, encrypted: bytes) -> AgentCall:
        """Read a key change."""
        message, reply_key = self._decrypt(encrypted)
        inner, old = enrollment.KEY_CHANGE.verify(message)
        change, new = enrollment.KEY_CHANGE.unpack(inner)
        if old is None or new is None or change.collector != self.signer.public:
            raise InputError("key change: not signed with both keys, or for another collector")

        def change_key(registry: Registry) -> None:
            registry.change_key(change.name, old, new, now=self._sure_time())

        # The old key stays known for a day, so that a repeated request is recognised.
        standing = self.senders.standing(change.name, old)
        return AgentCall(
            old, standing, self._granting(encrypted, change.name, change_key, reply_key)
        )

    def read_erasure(self, encrypted: bytes) -> AgentCall:
        """Read the request of an agent to be erased.

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

        standing = self.senders.standing(erasure.name, key)
        return AgentCall(key, standing, self._granting(encrypted, erasure.name, erase, reply_key))

    def _sure_time(self) -> datetime:
        """Return the present; InputError while it is in doubt, since tokens and keys expire."""
        clock = as_steady(self.clock)
        if clock.in_doubt:
            raise InputError("the observatory's own clock is in doubt; try again later")
        return clock()

    def _decrypt(self, encrypted: bytes) -> tuple[bytes, bytes]:
        check_size(encrypted, what="message", limit=enrollment.MAX_REQUEST_BYTES)
        return decrypt_request(encrypted, self.signer)

    def _granting(
        self, encrypted: bytes, name: str, action: Callable[[Registry], None], reply_key: bytes
    ) -> Callable[[], bytes]:
        """Return a function that performs `action` and returns the response to this request."""
        request = sha256(encrypted).digest()

        def grant() -> bytes:
            response = enrollment.EnrollmentResponse(
                "", name, self.targets_key, self.brokers, request
            )
            with self.open_registry() as registry:
                try:
                    action(registry)
                except InputError as error:
                    response = enrollment.EnrollmentResponse(str(error), name, b"", (), request)
            return encrypt_reply(enrollment.ENROLLED.pack(response, self.signer), reply_key)

        return grant
