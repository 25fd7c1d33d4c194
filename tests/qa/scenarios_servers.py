"""Scenarios of servers: refusal, reset, stall, wrong certificates and redirects."""

import asyncio

import server_faults
from certificates import Authority
from qa.bench import Bench, Watch
from qa.case import Actions, Scenario
from qa.vantage import Job
from servers import free_port

from netwatch.model.measurement import Target

__all__ = [
    "certified",
    "quic_blocked",
    "refused",
    "serving",
    "silent",
    "speaking_tls",
    "stranger",
]

NAME = "site.example"


async def silent(bench: Bench) -> Job:
    host = bench.address()
    return await bench.job("tcp", (host, bench.stack.enter_context(server_faults.deaf_port(host))))


async def refused(bench: Bench) -> Job:
    return await bench.job("tcp", (bench.address(), free_port()))


def serving(
    probe: str, handler: server_faults.Handler, *, timeout: float = 1.0, path: str = ""
) -> Scenario:
    """A server without TLS that does what `handler` does."""

    async def scenario(bench: Bench) -> Job:
        job = await bench.job(probe, await bench.tcp(handler), path=path)
        return job.at(timeout=timeout)

    return scenario


def speaking_tls(handler: server_faults.Handler) -> Scenario:
    """A server on a TLS port that does what `handler` does instead."""

    async def scenario(bench: Bench) -> Job:
        return await bench.job("tls", await bench.tcp(handler), domain=NAME)

    return scenario


def certified(name: str = NAME, days: tuple[int, int] = (-1, 30)) -> Scenario:
    """A server with a certificate for `name` of the authority that the vantage trusts."""

    async def scenario(bench: Bench) -> Job:
        context = bench.authority.serving(name, days)
        place = await bench.tcp(server_faults.end_after_request, tls=context)
        return (await bench.job("tls", place, domain=NAME)).at(authority=bench.trusted())

    return scenario


async def quic_blocked(bench: Bench) -> tuple[Job, Actions]:
    """UDP to the site is dropped; TCP to the same port works."""
    place = await bench.tcp()
    await bench.udp(lambda _: [], place=place)
    job = await bench.job("quic", place)
    other = Target("subject-by-tcp", "tcp", place[0], port=place[1])

    async def actions(watch: Watch) -> None:
        assert await watch.until(lambda: bool(watch.of(other.id)))
        last = watch.last(other.id)
        assert last is not None
        assert last.failure is None

    return job.at(targets=(other, *job.targets)), actions


async def stranger(bench: Bench) -> Job:
    """A server with a certificate from an unknown authority."""
    context = (await asyncio.to_thread(Authority, bench.folder)).serving(NAME)
    place = await bench.tcp(server_faults.end_after_request, tls=context)
    return (await bench.job("tls", place, domain=NAME)).at(authority=bench.trusted())
