"""Canaries: only who really asked knows the answer; a missing answer is no lie."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette

from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.app.http_canary_route import canary_route
from netwatch.app.http_server import listen, serve
from netwatch.collector.canary import (
    CLOSED_STATUS,
    OPEN_STATUS,
    CanaryCheck,
    canary_page,
    canary_secret,
    check_canaries,
    without_our_own_fault,
)
from netwatch.model.canary import CANARY_GROUP, CANARY_PATH, canary_name
from netwatch.model.measurement import Measurement, Observation, Target
from netwatch.protocols import Probe
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


def is_open(at: datetime) -> bool:
    names = (canary_name(agent, at) for agent in ("a1", "a2"))
    return all(canary_page(SECRET, name, at).status == OPEN_STATUS for name in names)


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
    closed = [one for _, one in rows if one.failure is not None]
    assert 0 < len(closed) < 24
    assert check_canaries(SECRET, "a1", rows) == CanaryCheck(right=24 - len(closed))
    assert all(one.observations[-1].detail.startswith(str(CLOSED_STATUS)) for one in closed)
    assert check_canaries(SECRET, "a2", rows).wrong >= 24 - len(closed) - 1


def test_guesses_are_wrong_and_so_are_answers_of_another_hour_or_agent() -> None:
    hours = [at for number in range(250) if is_open(at := START + number * HOUR)]
    guessed = check_canaries(SECRET, "a1", [row(at, "200,500,0,0") for at in hours])
    assert guessed.wrong >= 48
    late = check_canaries(SECRET, "a1", [row(at + 2 * HOUR, truth("a1", at)) for at in hours])
    assert late.wrong >= 48
    assert len(hours) >= 50
    of_others = check_canaries(SECRET, "a1", [row(at, truth("a2", at)) for at in hours])
    assert of_others.wrong >= 48


@pytest.mark.parametrize("minutes", [-9, -1, 0, 1, 9])
def test_a_clock_that_is_off_by_minutes_is_no_lie(minutes: int) -> None:
    asked = datetime(2026, 1, 8, 17, 0, tzinfo=UTC)
    at = asked + timedelta(minutes=minutes)
    page, at = next(
        (page, at + number * HOUR * 24)
        for number in range(100)
        if (
            page := canary_page(
                SECRET, canary_name("a1", at + number * HOUR * 24), asked + number * HOUR * 24
            )
        ).status
        == OPEN_STATUS
    )
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


def test_an_error_of_a_proxy_is_no_lie_and_guessing_a_closed_page_proves_nothing() -> None:
    errors = [row(START, f"{status},500,0,0") for status in (301, 403, 429, 500, 502, 503, 504)]
    assert check_canaries(SECRET, "a1", errors) == CanaryCheck()
    guesses = [row(START, f"{CLOSED_STATUS},{size},0,0") for size in range(1000)]
    assert check_canaries(SECRET, "a1", guesses) == CanaryCheck()
    at = next(one for number in range(80) if is_open(one := START + number * HOUR))
    ranged = row(at, truth("a1", at).replace("200", "206", 1))
    assert check_canaries(SECRET, "a1", [ranged]) == CanaryCheck(right=1)


def test_where_most_are_wrong_together_the_fault_is_ours() -> None:
    weights = {"a1": 1.0, "a2": 1.0, "a3": 1.0, "new": 0.0}
    good, bad = CanaryCheck(right=3), CanaryCheck(wrong=3)
    liar = {"a1": good, "a2": good, "a3": bad, "new": bad}
    assert without_our_own_fault(liar, weights) == liar
    clock_off = {"a1": bad, "a2": bad, "a3": good, "new": bad}
    assert without_our_own_fault(clock_off, weights) == {"a3": good}
    crowd = liar | {f"new{number}": bad for number in range(100)}
    assert without_our_own_fault(crowd, weights) == crowd


async def test_an_agent_with_a_wrong_clock_asks_by_the_true_time_or_for_no_page() -> None:
    """The collector corrects the times of measurements, and expects the name of the true hour."""
    asked: list[str] = []

    class Asked(Probe):
        async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
            asked.append(target.path.removeprefix(CANARY_PATH))
            return (Observation("http_round_trip", None, within),)

    target = replace(TARGET, path=CANARY_PATH + "{agent}")
    for offset in (0.0, 3 * 3600.0, None):
        runner = ProbeRunner(
            {"http": Asked()},
            lambda: START,
            5.0,
            agent="a1",
            clock_offset=lambda: offset,  # noqa: B023
        )
        await runner.measure(target)
    names = [canary_name("a1", START), canary_name("a1", START + 3 * HOUR), "-"]
    assert asked == names
