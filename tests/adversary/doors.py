"""Connections, requests and floods that are to shut the doors, of pages, batches and enrollment."""

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic

import httpx
from hostile_clients import SLOW_CLIENTS, drip, exchange, holding
from strange_requests import SHAPES, requests_by

from adversary.frame.registry import attack
from adversary.frame.stage import Stage
from netwatch.aio.tasks import cancel_and_wait
from netwatch.app.fleet_admin import collector_identity
from netwatch.model.errors import TransportError
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.enrollment import ERASURE_PATH
from netwatch.wire.https import AGENT_HEADER, BATCHES_PATH

_SECONDS = 3.0
"""How long each flood lasts while the doors are tried."""
_ANSWER_SECONDS = 10.0
"""Time for a page, a batch and an erasure one after another, each again while all are busy."""
_CLIENTS = 600
_READERS = 200


async def every_door_answers(stage: Stage) -> None:
    """Ask for a page, send a batch that is refused, and ask to be erased, in time."""
    key = collector_identity(stage.observatory.config).signer
    erasure = requests_by(stage.stranger().identity.signer, key, "nobody", 1)[ERASURE_PATH][0]
    async with stage.client() as client:
        client.headers["Connection"] = "close"  # an idle one may give way to others
        for _ in range(3):
            since = monotonic()
            await _expect(client.build_request("GET", "/"), client, {200})
            await _expect(client.build_request("POST", BATCHES_PATH, content=b"-"), client, {400})
            request = client.build_request("POST", ERASURE_PATH, content=erasure)
            await _expect(request, client, {200, 429})
            seconds = stage.own_seconds(since, monotonic())
            assert seconds < _ANSWER_SECONDS, f"the three answers took {seconds:.1f} s"


async def _expect(request: httpx.Request, client: httpx.AsyncClient, statuses: set[int]) -> None:
    """Send a request, again while the server says that it is busy."""
    for _ in range(20):
        answer = await client.send(request)
        if answer.status_code != 503:
            break
        await asyncio.sleep(0.5)
    assert answer.status_code in statuses, f"{request.url.path}: {answer.status_code}"


@asynccontextmanager
async def flooding(*works: object) -> AsyncIterator[None]:
    """Run coroutines meanwhile."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.sleep(_SECONDS)
        yield
    finally:
        await cancel_and_wait(tasks)


@attack(
    f"{_CLIENTS} connections each that are mute, slow to send, slow to read, or idle",
    who="anybody",
    cost="600 connections",
    doors=("https",),
)
async def slow_clients(stage: Stage) -> None:
    """No door is shut, whichever they come to."""
    for client in SLOW_CLIENTS.values():
        async with holding(client, stage.observatory.config.web.port, count=_CLIENTS, again=5):
            await every_door_answers(stage)


@attack(
    f"{_CLIENTS} connections to the broker that never send CONNECT",
    who="anybody on the machine",
    cost="600 connections",
    doors=("embedded",),
)
async def slow_connects(stage: Stage) -> None:
    """Agents connect as before."""
    port = stage.observatory.config.broker.port
    async with holding(lambda port: drip(port, b"\x10", b""), port, count=_CLIENTS, again=5):
        for _ in range(3):
            async with stage.connect("x") as link:
                await link.subscribe("nw/v1/fleet/rate")


@attack(
    "a client that takes the name of each of 300 others, subscribes and retains without end",
    who="who has the password of the embedded broker",
    cost="some thousand packets",
    doors=("embedded",),
)
async def broker_floods(stage: Stage) -> None:
    """Neither memory nor honest sessions are lost."""
    async with stage.connect("x") as link:
        for number in range(300):
            with suppress(TransportError):  # more patterns than a client needs are refused
                await link.subscribe(f"nw/v1/a/x{number}/in/ack")
        for number in range(1000):
            await link.publish(f"nw/v1/a/x{number}/p", secrets.token_bytes(20_000), retain=True)


@attack(
    "requests of enrollment, key change and erasure by unknown tokens and keys, without a pause",
    who="anybody",
    cost="six connections",
    doors=("https",),
)
async def enrollment_flood(stage: Stage) -> None:
    """Those who have a token are not in their way; see `tests/integration/test_enrollment.py`."""
    key = collector_identity(stage.observatory.config).signer
    forged = requests_by(stage.stranger().identity.signer, key, "honest-1", 50)
    statuses: Counter[int] = Counter()

    async def flood(path: str, bodies: list[bytes]) -> None:
        async with stage.client() as client:
            for body in itertools.cycle(bodies):
                statuses[(await client.post(path, content=body)).status_code] += 1

    works = [flood(path, bodies) for path, bodies in forged.items() for _ in range(2)]
    async with flooding(*works):
        await every_door_answers(stage)
    assert set(statuses) <= {200, 429}


@attack(
    f"{_READERS} readers of every page at once, half of them with made-up parameters",
    who="anybody",
    cost=f"{_READERS} connections",
    doors=("https",),
)
async def crowd_of_readers(stage: Stage) -> None:
    """Pages are answered from the cache, and batches are acknowledged meanwhile."""
    paths = ("/", "/p/country/ZZ", "/v1/incidents", "/v1/health", "/nowhere", "/p/country/Q%d")

    async def read(number: int) -> None:
        for step in itertools.count():
            path = paths[(number + step) % len(paths)].replace("%d", str(number))
            query = f"?x={number}.{step}" if number % 2 else ""
            request = f"GET {path}{query} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
            answer = await exchange(stage.observatory.config.web.port, request.encode())
            assert answer[9:12] in {b"200", b"404", b"503"}, answer[:100]

    async with flooding(*(read(number) for number in range(_READERS))):
        await every_door_answers(stage)


@attack(
    "requests that are no HTTP, or whose length can be read in two ways, and hostile hosts",
    who="anybody",
    cost=f"{len(SHAPES)} requests",
    doors=("https",),
)
async def strange_requests(stage: Stage) -> None:
    """Each gets a status of its own, and none leads elsewhere."""
    port = stage.observatory.config.web.port
    for request, status, _ in SHAPES:
        answer = await exchange(port, request, seconds=2)
        assert answer[9:12] in {status, b"501"}, answer[:200]
    for target in ("/i/x/", "//evil.example", "/p/country/ZZ/", "http://evil.example/"):
        request = f"GET {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        assert b"evil" not in await exchange(port, request.encode())


@attack(
    "signed garbage under a new key with each message, without a pause",
    who="anybody",
    cost="four connections",
    doors=("https",),
)
async def new_keys(stage: Stage) -> None:
    """What nobody knows shares an allowance of its own."""

    async def flood() -> None:
        async with stage.client() as client:
            while True:
                one = stage.stranger()
                body = one.identity.signer.sign(secrets.token_bytes(50), BATCH.purpose)
                await client.post(BATCHES_PATH, content=body, headers={AGENT_HEADER: one.name})

    async with flooding(*(flood() for _ in range(4))):
        await every_door_answers(stage)
