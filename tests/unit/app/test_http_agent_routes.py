"""The HTTP API for agents: which messages it accepts, which it refuses, and what it logs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from server_faults import answer_slowly, http_answer
from servers import tcp_server, until
from starlette.applications import Starlette
from uplink_rig import Rig, now

from netwatch.app.http_agent_routes import ingest_routes
from netwatch.app.http_connection import REQUEST_SECONDS
from netwatch.app.http_messages import BODY_SECONDS
from netwatch.app.sender_limits import Allowances, KeyedRateLimit, SenderLimits
from netwatch.collector.agent_tables import Standing
from netwatch.collector.ingest_queue import IngestQueue
from netwatch.collector.known_senders import KnownSenders
from netwatch.collector.metrics import by_label
from netwatch.collector.registry import InvitationScope, Registry
from netwatch.model.errors import TransportError
from netwatch.protocols import Message
from netwatch.wire import https
from netwatch.wire.ack import ACKNOWLEDGEMENT
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.enrollment import EnrollmentRequest
from netwatch.wire.https import (
    AGENT_HEADER,
    BATCHES_PATH,
    PRESENCE_PATH,
    RATE_ADVICE_PATH,
    HttpsTransport,
)
from netwatch.wire.presence_message import PRESENCE
from netwatch.wire.signing import MAX_MESSAGE_BYTES, Signer
from netwatch.wire.topics import ack_topic, batch_topic

HEADERS = {AGENT_HEADER: "a1"}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A collector on an embedded broker, with one signed batch of `a1` in a spool."""
    async with EmbeddedBroker(users={"netwatch": "swordfish"}) as broker:
        made = Rig(tmp_path, broker.port)
        async with made.collector():
            await until(lambda: made.queue._is_accepting)
            yield made


def one_batch(rig: Rig, agent: str = "a1") -> bytes:
    with rig.spool(agent) as spool:
        rig.seal(spool)
        return spool.newest(1)[0].payload


def client_of(
    mailbox: IngestQueue,
    allowances: Allowances | None = None,
    look_up: Callable[[str, bytes], Standing] = lambda *_: Standing.ENROLLED,
) -> httpx.AsyncClient:
    app = Starlette(routes=[*ingest_routes(mailbox, SenderLimits(look_up, allowances))])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


async def test_a_batch_is_answered_with_its_signed_acknowledgement(rig: Rig) -> None:
    batch = one_batch(rig)
    async with client_of(rig.queue) as client:
        answers = [
            await client.post(BATCHES_PATH, content=batch, headers=HEADERS) for _ in range(2)
        ]
    for answer in answers:
        assert answer.status_code == 200
        ack, key = ACKNOWLEDGEMENT.unpack(answer.content)
        assert key == rig.collector_key.signer.public
        assert ack.agent == "a1"
    assert by_label(rig.metrics.batches)["stored"] == 1


async def test_an_unsigned_or_oversized_batch_is_refused_and_not_stored(rig: Rig) -> None:
    batch = one_batch(rig)
    plain = BATCH.verify(batch)[0]
    endless = b"x" * (64 * 1024 + 1)
    async with client_of(rig.queue) as client:
        cases = [
            (plain, HEADERS, 400),
            (batch[:-1] + b"?", HEADERS, 400),
            (batch, {}, 400),
            (batch, {AGENT_HEADER: "../../etc"}, 400),
            (b"", HEADERS, 400),
            (endless, HEADERS, 413),
        ]
        for content, headers, status in cases:
            answer = await client.post(BATCHES_PATH, content=content, headers=headers)
            assert answer.status_code == status
        other = await client.post(BATCHES_PATH, content=batch, headers={AGENT_HEADER: "a2"})
        # Signed by another agent: accepted, but not acknowledged as stored.
        assert other.status_code == 202
    assert by_label(rig.metrics.batches)["stored"] == 0
    assert by_label(rig.metrics.batches)["wrong_sender"] == 1


async def test_an_agent_over_its_rate_limit_waits(rig: Rig) -> None:
    batch, other = one_batch(rig), one_batch(rig, "a2")
    allowances = Allowances(each=KeyedRateLimit(rate=0.01, burst=3))
    async with client_of(rig.queue, allowances) as client:
        answers = [
            (await client.post(BATCHES_PATH, content=batch, headers=HEADERS)) for _ in range(5)
        ]
        assert [one.status_code for one in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["Retry-After"]) > 0
        answer = await client.post(BATCHES_PATH, content=other, headers={AGENT_HEADER: "a2"})
        assert answer.status_code == 200


async def test_without_a_collector_the_api_is_unavailable() -> None:
    signer = Signer(Ed25519PrivateKey.generate())
    async with client_of(IngestQueue()) as client:
        message = signer.sign(b'{"state":"up"}', PRESENCE.purpose)
        answer = await client.post(PRESENCE_PATH, content=message, headers=HEADERS)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert (await client.get(RATE_ADVICE_PATH)).status_code == 204
        assert (await client.get(BATCHES_PATH)).status_code == 405


async def test_client_addresses_are_not_logged(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    batch = one_batch(rig)
    async with rig.agent_api() as port, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{port}{BATCHES_PATH}"
        earlier = {*caplog.messages}
        assert (await client.post(url, content=batch, headers=HEADERS)).status_code == 200
        assert (await client.post(url, content=b"?", headers=HEADERS)).status_code == 400
    logged = [
        one.message
        for one in caplog.records
        if one.message not in earlier and one.name.startswith(("netwatch", "uvicorn"))
    ]
    assert not [line for line in logged if "127.0.0.1" in line]


@pytest.mark.parametrize(
    ("status", "body"),
    [("200 OK", b"<html>Please log in</html>"), ("302 Found", b""), ("200 OK", b"x" * 100_000)],
)
async def test_a_captive_portal_is_not_the_observatory(status: str, body: bytes) -> None:
    """A captive portal answers everything; that is no way to the collector."""
    head = "Location: http://127.0.0.1/login"
    async with tcp_server(http_answer(status, head, body=body)) as port:
        with pytest.raises(TransportError) as caught:
            async with HttpsTransport(f"http://127.0.0.1:{port}", "a1", timeout=5):
                pass
    assert "\n" not in str(caught.value)


async def test_a_large_batch_has_the_time_that_a_slow_line_needs() -> None:
    """The line does not carry it in the time that an answer may take."""

    async def take_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST"):
                await reader.readexactly(3_000)
                await asyncio.sleep(1.0)
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with (
        tcp_server(take_slowly) as port,
        HttpsTransport(f"http://127.0.0.1:{port}", "a1", timeout=0.5) as link,
    ):
        await link.publish(batch_topic("a1"), b"x" * 3_000)


def test_the_observatory_waits_for_a_body_as_long_as_an_agent_sends_it() -> None:
    assert MAX_MESSAGE_BYTES / https._SLOWEST_LINE < BODY_SECONDS < REQUEST_SECONDS


async def test_a_silent_server_costs_the_timeout() -> None:
    async with tcp_server(answer_slowly) as port:
        with pytest.raises(TransportError, match="cannot reach"):
            async with HttpsTransport(f"http://127.0.0.1:{port}", "a1", timeout=0.5):
                pass


async def test_new_keys_cannot_use_up_what_enrolled_agents_may_send(
    rig: Rig, tmp_path: Path
) -> None:
    """The limit of strangers counts their verified batches only, and never an enrolled agent's."""
    batch = one_batch(rig)
    enrolled = BATCH.verify(batch)[1]
    counted: list[str] = []
    allowances = Allowances(shared={Standing.NEW: (0.001, 5)}, count=counted.append)
    look_up = lambda _, key: Standing.ENROLLED if key == enrolled else Standing.NEW  # noqa: E731
    async with client_of(rig.queue, allowances, look_up) as client:
        answers = []
        for number in range(10):
            name = f"new{number}"
            answers.append(
                await client.post(
                    BATCHES_PATH, content=one_batch(rig, name), headers={AGENT_HEADER: name}
                )
            )
        assert [one.status_code for one in answers] == [200] * 5 + [429] * 5
        answer = await client.post(BATCHES_PATH, content=batch, headers=HEADERS)
        assert answer.status_code == 200
    assert counted == ["new_rate"] * 5


async def test_an_agent_is_known_after_its_first_batch(rig: Rig, tmp_path: Path) -> None:
    batch = one_batch(rig)
    key = BATCH.verify(batch)[1]
    assert key is not None
    senders = KnownSenders(lambda: Registry(tmp_path / "collector" / "batches.sqlite"))
    assert senders.standing("a1", key) is Standing.NEW
    async with client_of(rig.queue) as client:
        await client.post(BATCHES_PATH, content=batch, headers=HEADERS)
    assert senders.standing("a1", key) is Standing.OPEN
    assert senders.standing("a2", key) is Standing.NEW
    assert senders.standing("a1", b"x" * 32) is Standing.NEW
    with Registry(tmp_path / "collector" / "batches.sqlite") as registry:
        scope = InvitationScope()
        registry.invite(b"d" * 32, scope, now=now(), length=timedelta(days=1))
        request = EnrollmentRequest(b"s" * 16, b"c" * 32, "a1", "XX", 64501, "", 2, "1")
        registry.enroll(b"d" * 32, request, key=key, now=now())
        assert senders.standing("a1", key) is Standing.ENROLLED
        registry.change_key("a1", key, b"n" * 32, now=now())
    assert senders.standing("a1", key) is Standing.ENROLLED
    assert senders.invited(b"d" * 32) is Standing.ENROLLED
    assert senders.invited(b"e" * 32) is Standing.NEW


async def test_the_rate_limit_evicts_the_least_recent_key() -> None:
    limit = KeyedRateLimit(rate=1.0, burst=1.0)
    assert limit.allows(b"a")
    assert not limit.allows(b"a")
    for number in range(10_000):
        limit.allows(b"%d" % number)
    assert limit.allows(b"a")


async def test_a_forged_batch_does_not_block_the_acknowledgement(rig: Rig) -> None:
    batch, transport = one_batch(rig), rig.connect(None)
    async with transport:
        await transport.subscribe(ack_topic("a1"))
        await rig.queue.put(Message(batch_topic("a1"), batch))
        await rig.queue.deliver(Message(batch_topic("a1"), b"nothing"), within=9)
        async with asyncio.timeout(9):
            answer = await anext(aiter(transport.messages()))
    assert ACKNOWLEDGEMENT.unpack(answer.payload)[0].stored
