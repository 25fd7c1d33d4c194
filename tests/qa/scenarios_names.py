"""Scenarios of name servers: errors, silence, injected and forged answers."""

import asyncio

import server_faults
from qa.bench import Bench
from qa.case import Scenario
from qa.vantage import Job
from servers import free_port

__all__ = ["answering", "closed", "cut_short", "garbled", "injected", "rewritten", "silent"]

NAME = "example.org"
PUBLIC = "9.9.9.9"


def answering(*addresses: str, rcode: int = 0, number: int | None = None) -> Scenario:
    """A server with one answer to every query."""
    make = server_faults.dns_answer(*addresses, rcode=rcode, number=number)

    async def scenario(bench: Bench) -> Job:
        place = await bench.udp(lambda query: [(0, make(query))])
        return await bench.job("dns", place, path=NAME)

    return scenario


async def silent(bench: Bench) -> Job:
    return await bench.job("dns", await bench.udp(lambda _: []), path=NAME)


async def closed(bench: Bench) -> Job:
    return await bench.job("dns", ("127.0.0.1", free_port()), path=NAME)


async def garbled(bench: Bench) -> Job:
    place = await bench.udp(lambda query: [(0, query[:2] + b"\xff" * 40)])
    return await bench.job("dns", place, path=NAME)


async def cut_short(bench: Bench) -> Job:
    """The UDP answer is truncated; TCP has all of it."""
    make = server_faults.dns_answer(PUBLIC)

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        answer = make(query)
        writer.write(len(answer).to_bytes(2, "big") + answer)
        await writer.drain()

    place = await bench.tcp(whole)
    await bench.udp(lambda query: [(0, server_faults.dns_cut_short(query))], place=place)
    return await bench.job("dns", place, path=NAME)


async def injected(bench: Bench) -> Job:
    """A forged answer arrives before the server's."""
    forged, true = server_faults.dns_answer("8.7.198.45"), server_faults.dns_answer(PUBLIC)
    place = await bench.udp(lambda query: [(0, forged(query)), (0.1, true(query))])
    return await bench.job("dns", place, path=NAME, group="witness-names")


async def rewritten(bench: Bench) -> Job:
    """Even a name that cannot exist has an address."""
    make = server_faults.dns_answer(PUBLIC)
    place = await bench.udp(lambda query: [(0, make(query))])
    return await bench.job("dns", place, path="no-such-name.invalid", group="witness-names")
