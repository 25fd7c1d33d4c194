"""Canaries: only who really asked knows the answer; a missing answer is no lie."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette

from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.app.http_canary_route import canary_route
from netwatch.app.http_server import listen, serve
from netwatch.collector.canary import (
    CLOSED_STATUS,
    CanaryCheck,
    canary_page,
    canary_secret,
    check_canaries,
)
from netwatch.model.canary import CANARY_GROUP, CANARY_PATH, canary_name
from netwatch.model.measurement import Measurement, Observation, Target
from netwatch.wire.signing import Signer
from netwatch_probes.http import HttpProbe

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = canary_secret(Signer(Ed25519PrivateKey.generate()))
TARGET = Target("canary", "http", "observatory.example", 443, CANARY_PATH, group=CANARY_GROUP)


def row(at: datetime, detail: str, *, tls: bool = True) -> tuple[Target, Measurement]:
    steps = [Observation("tls_handshake", None, 0.1)] if tls else []
    steps.append(Observation("http_round_trip", None, 0.1, detail))
    word = None
    measurement = Measurement(
        "canary", "http", at, word, "", host_responded=True, seconds=0.2, observations=tuple(steps)
    )
    return TARGET, measurement


def truth(agent: str, at: datetime) -> str:
    page = canary_page(SECRET, canary_name(agent, at), at)
    return f"{page.status},{page.size},0123,4567"


async def test_what_a_real_probe_fetches_from_a_real_server_is_right() -> None:
    times = [START + number * HOUR for number in range(24)]
    now = [START]
    listener = listen("web", "127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    app = Starlette(routes=[canary_route(SECRET, lambda: now[0])])
    async with asyncio.TaskGroup() as group:
        server = group.create_task(serve(app, listener))
        target = Target(
            "canary", "http", "127.0.0.1", port, CANARY_PATH + "{agent}", group=CANARY_GROUP
        )
        runner = ProbeRunner({"http": HttpProbe()}, lambda: now[0], 5.0, agent="a1")
        rows = []
        for time in times:
            now[0] = time
            rows.append((target, await runner.measure(target)))
        server.cancel()
    assert check_canaries(SECRET, "a1", rows) == CanaryCheck(right=24)
    closed = [one for _, one in rows if one.failure is not None]
    assert 0 < len(closed) < 24
    assert all(one.observations[-1].detail.startswith(str(CLOSED_STATUS)) for one in closed)
    assert check_canaries(SECRET, "a2", rows).wrong >= 20


def test_guesses_are_wrong_and_so_are_answers_of_another_hour_or_agent() -> None:
    hours = [START + number * HOUR for number in range(50)]
    guessed = check_canaries(SECRET, "a1", [row(at, "200,500,0,0") for at in hours])
    assert guessed.wrong >= 48
    late = check_canaries(SECRET, "a1", [row(at + 2 * HOUR, truth("a1", at)) for at in hours])
    assert late.wrong >= 48
    of_others = check_canaries(SECRET, "a1", [row(at, truth("a2", at)) for at in hours])
    assert of_others.wrong >= 48


@pytest.mark.parametrize("minutes", [-9, -1, 0, 1, 9])
def test_a_clock_that_is_off_by_minutes_is_no_lie(minutes: int) -> None:
    asked = datetime(2026, 1, 8, 17, 0, tzinfo=UTC)
    at = asked + timedelta(minutes=minutes)
    page = canary_page(SECRET, canary_name("a1", at), asked)
    found = check_canaries(SECRET, "a1", [row(at, f"{page.status},{page.size},0,0")])
    assert found == CanaryCheck(right=1)


def test_what_does_not_arrive_or_came_from_a_portal_is_no_lie() -> None:
    target, cut = row(START, "")
    lost = Measurement(
        "canary", "http", START, "generic_timeout_error", "timeout", host_responded=False,
        seconds=10, observations=(Observation("connect", "generic_timeout_error", 10),),
    )  # fmt: skip
    portal = row(START, "200,4711,0,0", tls=False)
    assert check_canaries(SECRET, "a1", [(target, cut), (target, lost), portal]) == CanaryCheck()


def test_the_name_of_an_agent_changes_every_hour() -> None:
    names = {canary_name("a1", START + number * HOUR) for number in range(100)}
    assert len(names) == 100
