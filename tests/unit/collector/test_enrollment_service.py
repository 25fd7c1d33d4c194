"""Enrollment from end to end, both sides real; only the wire between them is a function."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from batch_counts import count_batches
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ingest_rig import IngestRig, answered

from netwatch.agent.enrollment_client import Enrollment, change_key, enroll, erase
from netwatch.agent.identity import Identity
from netwatch.collector.enrollment_service import EnrollmentService
from netwatch.collector.metrics import by_label
from netwatch.collector.registry import InvitationScope, Registry
from netwatch.model.errors import InputError
from netwatch.model.measurement import Batch, Vantage
from netwatch.model.steady_clock import SteadyClock
from netwatch.protocols import Message
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.enrollment import (
    ENROLLED,
    ENROLLMENT,
    ENROLLMENT_PATH,
    ERASURE_PATH,
    EnrollmentRequest,
    EnrollmentResponse,
    Invitation,
)
from netwatch.wire.request_encryption import (
    decrypt_request,
    encrypt_reply,
    encrypt_request,
    encryption_key,
)
from netwatch.wire.topics import batch_topic

NOW = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
ANYBODY = InvitationScope()
URL = "https://netwatch.example"
Send = Callable[[str, bytes | None, int], Awaitable[bytes]]


def identity() -> Identity:
    return Identity(Ed25519PrivateKey.generate())


class Office(IngestRig):
    """A collector with its key, and a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder, NOW, {})
        self.file = folder / "batches.sqlite"
        self.key = identity()
        self.lists = identity()
        self.desk = EnrollmentService(
            lambda: Registry(self.file),
            lambda name: self.batch_log.erase(name, now=self.now),
            signer=self.key.signer,
            targets_key=self.lists.signer.public,
            brokers=("mqtts://broker.example:8883",),
            clock=lambda: self.now,
        )
        self.seen: list[bytes] = []

    def invite(self, bounds: InvitationScope = ANYBODY, hours: float = 24) -> Invitation:
        invitation = Invitation(
            secrets.token_bytes(16),
            self.key.signer.public,
            encryption_key(self.key.signer),
            URL,
        )
        with Registry(self.file) as registry:
            registry.invite(invitation.digest, bounds, now=self.now, length=timedelta(hours=hours))
        return invitation

    async def send(self, url: str, body: bytes | None, limit: int) -> bytes:
        assert body is not None
        self.seen.append(body)
        path = url.removeprefix(URL)
        if path == ENROLLMENT_PATH:
            return self.desk.read_enrollment(body).grant()
        is_erasure = path == ERASURE_PATH
        read = self.desk.read_erasure if is_erasure else self.desk.read_key_change
        return read(body).grant()

    async def enroll(
        self, invitation: Invitation, who: Identity, send: Send | None = None, **change: object
    ) -> Enrollment:
        fields = {
            "secret": invitation.secret, "collector": invitation.key, "name": "a1",
            "country": "XX", "network": 64501, "region": "", "consent": 1, "software": "0.1",
        }  # fmt: skip
        request = EnrollmentRequest(**(fields | change))
        return await enroll(invitation, request, identity=who, send=send or self.send)

    def agents(self) -> dict[str, str]:
        with Registry(self.file) as registry:
            return {one.name: one.state for one in registry.agents(self.now)}

    def take(
        self, who: Identity, sequence: int, *, name: str = "a1", asn: int = 64501
    ) -> tuple[list[int], list[str]]:
        row = answered(self.now - timedelta(minutes=1))
        batch = Batch(Vantage(name, "XX", asn), sequence, (row,))
        return self.receive_flat(Message(batch_topic(name), BATCH.pack(batch, who.signer)))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


async def test_a_token_enrolls_one_agent_and_returns_its_settings(office: Office) -> None:
    ours = identity()
    invitation = office.invite()
    enrolled = await office.enroll(invitation, ours)
    assert enrolled == Enrollment(
        URL,
        office.key.signer.public.hex(),
        encryption_key(office.key.signer).hex(),
        office.lists.signer.public.hex(),
        ("mqtts://broker.example:8883",),
    )
    assert office.agents() == {"a1": "enrolled"}
    assert office.take(ours, 1) == ([1], [])
    assert office.take(identity(), 2) == ([], [])  # another key cannot use its name


async def test_only_a_hash_of_the_secret_is_stored_and_it_is_never_sent_in_plaintext(
    office: Office,
) -> None:
    invitation = office.invite()
    await office.enroll(invitation, identity(), country="IR")
    office.batch_log.close()
    stored = b"".join(path.read_bytes() for path in office.file.parent.iterdir())
    assert invitation.secret not in stored
    assert invitation.secret not in b"".join(office.seen)
    assert b"IR" not in b"".join(office.seen)[:40]


@pytest.mark.parametrize(
    ("bounds", "change", "reason"),
    [
        (InvitationScope("IR"), {}, "for an agent in IR"),
        (InvitationScope("", 64502), {}, "for an agent in any country, AS64502"),
        (InvitationScope(replaces="a2"), {}, "for the agent 'a2'"),
    ],
)
async def test_a_token_is_limited_to_its_scope(
    office: Office, bounds: InvitationScope, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError, match=f"the observatory refuses: .*{reason}"):
        await office.enroll(office.invite(bounds), identity(), **change)
    assert office.agents() == {}


async def test_used_expired_and_forged_tokens_are_refused_in_one_line(office: Office) -> None:
    used, old = office.invite(), office.invite()
    await office.enroll(used, identity())
    forged = msgspec.structs.replace(used, secret=secrets.token_bytes(16))
    office.now += timedelta(hours=25)
    for token, reason in [(used, "used already"), (old, "expired on 2026-01-09 16:30 UTC"),
                          (forged, "not known here")]:  # fmt: skip
        with pytest.raises(InputError, match=reason) as caught:
            await office.enroll(token, identity(), name="a9")
        assert "\n" not in str(caught.value)
    assert office.agents() == {"a1": "enrolled"}


async def test_a_lost_reply_can_be_requested_again(office: Office) -> None:
    ours, token = identity(), office.invite()
    first = await office.enroll(token, ours)
    office.now += timedelta(days=2)
    assert await office.enroll(token, ours) == first


async def test_a_taken_name_is_not_given_away(office: Office) -> None:
    ours = identity()
    assert office.take(ours, 1) == ([1], [])  # open, never enrolled
    assert office.agents() == {"a1": "open"}
    with pytest.raises(InputError, match="the name 'a1' is taken"):
        await office.enroll(office.invite(), identity())
    await office.enroll(office.invite(), ours)
    assert office.agents() == {"a1": "enrolled"}


async def test_a_lost_key_is_retired_by_a_token_that_replaces_it(office: Office) -> None:
    lost, new = identity(), identity()
    await office.enroll(office.invite(), lost)
    await office.enroll(office.invite(InvitationScope(replaces="a1")), new)
    assert office.take(new, 1) == ([1], [])
    assert office.take(lost, 2) == ([], [])


async def test_a_key_change_must_be_signed_with_the_old_key(office: Office) -> None:
    old, new = identity(), identity()
    enrolled = await office.enroll(office.invite(), old)
    with pytest.raises(InputError, match="not signed with the key that is known"):
        await change_key(enrolled, "a1", old=identity(), new=new, send=office.send)
    await change_key(enrolled, "a1", old=old, new=new, send=office.send)
    await change_key(
        enrolled, "a1", old=old, new=new, send=office.send
    )  # retried after a lost reply
    assert office.take(new, 1) == ([1], [])
    assert office.take(old, 2) == ([2], [])  # sent from the spool
    office.now += timedelta(days=2)
    assert office.take(old, 3) == ([], [])  # the old key has expired
    assert office.take(new, 4) == ([4], [])


async def test_a_batch_from_another_network_is_quarantined(office: Office) -> None:
    ours = identity()
    await office.enroll(office.invite(), ours)
    assert office.take(ours, 1, asn=64999) == ([1], [])
    assert by_label(office.metrics.batches)["quarantined"] == 1
    await office.enroll(office.invite(), ours, network=64999)  # it moved and enrolled again
    assert office.take(ours, 2, asn=64999) == ([2], [])
    assert by_label(office.metrics.batches)["quarantined"] == 1


async def test_a_retired_agent_is_notified(office: Office) -> None:
    ours = identity()
    await office.enroll(office.invite(), ours)
    with Registry(office.file) as registry:
        registry.retire("a1", now=office.now)
        with pytest.raises(InputError, match="no agent has that name"):
            registry.retire("nobody", now=office.now)
    assert office.agents() == {"a1": "retired"}
    assert office.take(ours, 1) == ([], ["retired"])


async def test_an_agent_can_erase_its_data(office: Office) -> None:
    ours = identity()
    enrolled = await office.enroll(office.invite(), ours)
    office.take(ours, 1)
    with pytest.raises(InputError, match="not signed with the key that is known"):
        await erase(enrolled, "a1", identity=identity(), send=office.send)
    assert count_batches(office.batch_log) == 1
    await erase(enrolled, "a1", identity=ours, send=office.send)
    assert count_batches(office.batch_log) == 0
    assert office.agents() == {}
    await erase(enrolled, "a1", identity=ours, send=office.send)  # retried after a lost reply


async def test_a_man_in_the_middle_is_refused_and_learns_nothing(office: Office) -> None:
    """It has another key: it can neither read nor answer the request."""
    middle, token = Office(office.file.parent / "middle"), office.invite()
    sent: list[bytes] = []

    async def own_answer(url: str, body: bytes | None, limit: int) -> bytes:
        sent.append(body or b"")
        return middle.key.signer.sign(b"welcome", ENROLLED.purpose)

    with pytest.raises(InputError, match="reply: damaged"):
        await office.enroll(token, identity(), own_answer)
    with pytest.raises(InputError):
        middle.desk.read_enrollment(sent[0])
    assert token.secret not in sent[0]


async def test_a_reply_to_another_agent_is_refused(office: Office) -> None:
    first = await _recorded(office, office.invite(), "a1")

    async def replay(url: str, body: bytes | None, limit: int) -> bytes:
        return first

    with pytest.raises(InputError, match="reply: damaged"):
        await office.enroll(office.invite(), identity(), replay, name="a2")


@pytest.mark.parametrize("wrong", ["signer", "request"])
async def test_a_reply_must_be_signed_and_match_the_request(office: Office, wrong: str) -> None:
    """A forger who can read the request cannot reply with other keys or an old reply."""

    async def forge(url: str, body: bytes | None, limit: int) -> bytes:
        _, reply_key = decrypt_request(body or b"", office.key.signer)
        asked = b"\0" * 32 if wrong == "request" else sha256(body or b"").digest()
        signer = identity().signer if wrong == "signer" else office.key.signer
        answer = EnrollmentResponse("", "a1", office.lists.signer.public, (), asked)
        return encrypt_reply(ENROLLED.pack(answer, signer), reply_key)

    with pytest.raises(InputError, match="not the collector's reply"):
        await office.enroll(office.invite(), identity(), forge)


async def _recorded(office: Office, token: Invitation, name: str) -> bytes:
    answers = []

    async def record(url: str, body: bytes | None, limit: int) -> bytes:
        answers.append(await office.send(url, body, limit))
        return answers[0]

    await office.enroll(token, identity(), record, name=name)
    return answers[0]


def sealed_for(message: bytes, token: Invitation) -> bytes:
    return encrypt_request(message, token.encryption_key)[0]


def test_invalid_requests_are_refused(office: Office) -> None:
    ours, token = identity(), office.invite()
    request = EnrollmentRequest(token.secret, token.key, "a1", "XX", 64501, "", 1, "0.1")
    elsewhere = msgspec.structs.replace(request, collector=identity().signer.public)
    messages = [
        b"", b"x" * 100, b"x" * 10_000,
        sealed_for(b"", token),
        sealed_for(ENROLLMENT.pack(request), token),  # nobody signed it
        # for another purpose
        sealed_for(ours.signer.sign(ENROLLMENT.pack(request), BATCH.purpose), token),
        sealed_for(ENROLLMENT.pack(elsewhere, ours.signer), token),  # for another collector
        sealed_for(ours.signer.sign(b"\xc0", ENROLLMENT.purpose), token),
    ]  # fmt: skip
    for message in messages:
        desk = office.desk
        for read in (desk.read_enrollment, desk.read_key_change, desk.read_erasure):
            with pytest.raises(InputError):
                read(message)
    assert office.agents() == {}


async def test_a_clock_in_doubt_refuses_nothing_for_good(office: Office) -> None:
    """Tokens and keys expire, so nothing is decided; the same token works later."""
    clock = SteadyClock(lambda: office.now, lambda: office.now.timestamp() - NOW.timestamp())
    office.desk = replace(office.desk, clock=clock)
    invitation, ours = office.invite(), identity()
    clock.hear(clock.line - 9 * 86_400)
    with pytest.raises(InputError, match="clock is in doubt; try again later"):
        await office.enroll(invitation, ours)
    clock.hear(clock.line)
    enrolled = await office.enroll(invitation, ours)
    clock.hear(clock.line + 9 * 86_400)
    with pytest.raises(InputError, match="clock is in doubt; try again later"):
        await change_key(enrolled, "a1", old=ours, new=identity(), send=office.send)
