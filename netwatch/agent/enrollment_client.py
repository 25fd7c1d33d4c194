"""The agent's side of enrollment: sends requests, and stores what the observatory returned."""

from hashlib import sha256
from typing import Annotated

import msgspec

from netwatch.agent.http_client import Fetch
from netwatch.agent.identity import Identity
from netwatch.model.errors import InputError
from netwatch.wire import enrollment
from netwatch.wire.request_encryption import decrypt_reply, encrypt_request

_Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Enrollment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The observatory that an agent is enrolled with. Keys are public and in hexadecimal.

    Attributes:
        url: root of its HTTP service.
        encryption_key: the key to which requests are encrypted.
        brokers: where batches go, `mqtt[s]://host:port` or `ws[s]://…`, by preference.
    """

    url: str
    collector: _Hex
    encryption_key: _Hex
    targets_key: _Hex
    brokers: tuple[str, ...] = ()


async def enroll(
    invitation: enrollment.Invitation,
    request: enrollment.EnrollmentRequest,
    *,
    identity: Identity,
    send: Fetch,
) -> Enrollment:
    """Enroll with the observatory of an invitation.

    Raises:
        InputError: it refuses, or the response is not its own.
        TransportError: it does not respond.
    """
    enrolled = Enrollment(
        enrollment.check_url(invitation.url),
        invitation.key.hex(),
        invitation.encryption_key.hex(),
        "",
    )
    signed = enrollment.ENROLLMENT.pack(request, identity.signer)
    response = await _request(enrolled, enrollment.ENROLLMENT_PATH, signed, send)
    if response.name != request.name:
        raise InputError("enrollment: the response is for another agent")
    return msgspec.structs.replace(
        enrolled, targets_key=response.targets_key.hex(), brokers=response.brokers
    )


async def change_key(
    enrolled: Enrollment, name: str, *, old: Identity, new: Identity, send: Fetch
) -> None:
    """Replace the key by which the observatory knows this agent; raises as `enroll` does."""
    change = enrollment.AgentRequest(bytes.fromhex(enrolled.collector), name)
    signed = enrollment.KEY_CHANGE.pack(change, new.signer)
    by_both = old.signer.sign(signed, enrollment.KEY_CHANGE.purpose)
    await _request(enrolled, enrollment.KEY_CHANGE_PATH, by_both, send)


async def erase(enrolled: Enrollment, name: str, *, identity: Identity, send: Fetch) -> None:
    """Make the observatory erase this agent's key, registration and batches; raises as `enroll`."""
    erasure = enrollment.AgentRequest(bytes.fromhex(enrolled.collector), name)
    signed = enrollment.ERASURE.pack(erasure, identity.signer)
    await _request(enrolled, enrollment.ERASURE_PATH, signed, send)


async def _request(
    enrolled: Enrollment, path: str, message: bytes, send: Fetch
) -> enrollment.EnrollmentResponse:
    encrypted, reply_key = encrypt_request(message, bytes.fromhex(enrolled.encryption_key))
    reply = await send(enrolled.url + path, encrypted, enrollment.MAX_REQUEST_BYTES)
    response, key = enrollment.ENROLLED.unpack(decrypt_reply(reply, reply_key))
    if key != bytes.fromhex(enrolled.collector) or response.request != sha256(encrypted).digest():
        raise InputError("reply: not the collector's reply to this request")
    if response.refused:
        raise InputError(f"the observatory refuses: {response.refused}")
    return response
