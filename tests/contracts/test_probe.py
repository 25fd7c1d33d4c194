"""Every installed probe fulfils the contract of `netwatch.protocols.Probe`."""

import asyncio
import re
import socket
from time import perf_counter

import pytest
from servers import free_port, tcp_server

from netwatch.agent.consent import CONSENT_TEXT
from netwatch.model.failure import FailureScope, lookup_failure
from netwatch.model.measurement import Observation, Target
from netwatch.plugins import load_plugin, plugin_names
from netwatch.protocols import Probe

NAMES = plugin_names("probes")


@pytest.fixture(params=NAMES)
def probe(request: pytest.FixtureRequest) -> Probe:
    made = load_plugin("probes", request.param)()
    assert isinstance(made, Probe)
    assert made.name == request.param
    return made


def check(steps: tuple[Observation, ...]) -> None:
    assert steps, "at least one step"
    assert all(step.failure is None for step in steps[:-1]), "only the last step may fail"
    assert all(step.seconds >= 0 for step in steps)
    assert all(step.operation and len(step.detail) <= 128 for step in steps)


def test_the_built_in_probes_are_installed() -> None:
    ours = {"dns", "http", "icmp", "quic", "tcp", "tls", "traceroute", "transfer"}
    assert ours <= set(NAMES)


def test_a_probe_declares_its_cost_and_requirements(probe: Probe) -> None:
    assert 0 < probe.cost_bytes < 2**20
    declared = (probe.essential, probe.on_change_only, probe.in_consent_text)
    assert all(isinstance(one, bool) for one in declared)
    missing = probe.missing_requirement()
    assert missing is None or (missing.text and missing.fix)


def test_the_consent_text_names_the_probes_that_rely_on_it() -> None:
    relying = [name for name in NAMES if load_plugin("probes", name).in_consent_text is True]
    assert relying
    words = set(re.findall(r"\w+", CONSENT_TEXT))
    assert words.issuperset(relying)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "no-such-name.invalid"])
async def test_a_failing_network_is_data(probe: Probe, host: str) -> None:
    target = Target("one", probe.name, host, port=free_port())
    steps = await probe.measure(target, within=5)
    check(steps)
    if steps[-1].failure is not None:
        assert lookup_failure(steps[-1].failure).scope is not FailureScope.UNKNOWN


async def test_a_host_that_hangs_costs_the_timeout(probe: Probe) -> None:
    """It accepts and reads but never answers; over UDP it does not even read."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async with tcp_server(hang) as port:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind(("127.0.0.1", port))
            since = perf_counter()
            target = Target("one", probe.name, "127.0.0.1", port=port)
            check(await probe.measure(target, within=0.4))
    assert perf_counter() - since < 5


async def test_concurrent_measurements_are_independent(probe: Probe) -> None:
    async with tcp_server() as port:
        target = Target("one", probe.name, "127.0.0.1", port=port)
        found = await asyncio.gather(*(probe.measure(target, within=5) for _ in range(20)))
    for steps in found:
        check(steps)
    assert len({tuple(step.operation for step in steps) for steps in found}) <= 2


async def test_cancellation_passes_through(probe: Probe) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async with tcp_server(hang) as port:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind(("127.0.0.1", port))
            target = Target("one", probe.name, "127.0.0.1", port=port)
            task = asyncio.ensure_future(probe.measure(target, within=30))
            await asyncio.sleep(0.1)
            if task.done():
                pytest.skip("it ended before it could be cancelled")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
