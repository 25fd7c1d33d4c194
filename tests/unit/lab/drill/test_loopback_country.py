"""The made-up country: real servers that answer, fall silent, and answer again."""

import asyncio
import contextlib

import pytest

from netwatch.lab.drill.loopback_country import Network, make_country
from netwatch.model.entities import EntityKind
from netwatch_probes.http import HttpProbe
from netwatch_probes.tcp import TcpProbe

TIMEOUT = 0.4


async def reach(network: Network, probe: str) -> str:
    """Return `answers` or `silent` as a real connection finds it."""
    port = network.servers[probe].port
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(network.address, port)
    except TimeoutError:
        return "silent"
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return "answers"


async def test_a_cut_network_is_silent_and_a_restored_one_answers() -> None:
    async with make_country(3) as country:
        cut, other, _ = country.networks
        for probe in ("tcp", "http"):
            assert await reach(cut, probe) == "answers"
        cut.cut()
        for probe in ("tcp", "http"):
            assert await reach(cut, probe) == "silent"
            assert await reach(other, probe) == "answers"
        cut.restore()
        for probe in ("tcp", "http"):
            assert await reach(cut, probe) == "answers"


async def test_it_can_be_cut_again_and_again() -> None:
    async with make_country(1) as country:
        [network] = country.networks
        for _ in range(3):
            network.cut()
            assert await reach(network, "tcp") == "silent"
            network.restore()
            assert await reach(network, "tcp") == "answers"


async def test_the_real_probes_see_it() -> None:
    async with make_country(1) as country:
        [network] = country.networks
        probes = {"tcp": TcpProbe(), "http": HttpProbe()}
        for target in network.targets():
            seen = await probes[target.probe].measure(target, within=5)
            assert [one.failure for one in seen] == [None] * len(seen)
        network.cut()
        for target in network.targets():
            seen = await probes[target.probe].measure(target, within=TIMEOUT)
            assert seen[-1].failure == "generic_timeout_error"


async def test_closing_the_country_closes_cut_networks() -> None:
    country = make_country(2)
    async with country:
        ports = [server.port for server in country.networks[0].servers.values()]
        country.networks[0].cut()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(country.networks[0].address, port)


def test_its_places_are_a_tree_and_its_numbers_are_for_documentation() -> None:
    country = make_country(16)
    places = {place.entity: place for place in country.places()}
    assert len(places) == 1 + 3 + 16
    for network in country.networks:
        place = places[f"asn:{network.asn}"]
        assert places[place.parent].parent == str(country.entity)
        assert 64496 <= network.asn <= 64511
        assert network.address.startswith("127.")
    weights = [network.weight for network in country.networks]
    assert weights == sorted(weights, reverse=True)
    assert country.entity.kind is EntityKind.COUNTRY
