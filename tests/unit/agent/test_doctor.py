"""The doctor's checks on loopback, and the fixes it proposes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from servers import free_port

from netwatch.agent import doctor
from netwatch.agent.clock import KernelClock
from netwatch.agent.consent import Consent
from netwatch.agent.doctor import DoctorContext, run_checks
from netwatch.agent.doctor_network import CheckResult, check_gateway, check_line
from netwatch.agent.health.gateway import Gateway, GatewayMonitor
from netwatch.agent.spool.spool import SpoolState
from netwatch.agent.target_list import TargetList
from netwatch.agent.uplink.failover import Endpoint
from netwatch.model.errors import TransportError
from netwatch.model.failure import lookup_failure
from netwatch.model.measurement import Measurement, Observation, Target
from netwatch.wire.memory import MemoryBroker, MemoryTransport
from netwatch_probes import quic

NOW = datetime(2026, 3, 8, tzinfo=UTC)
FAR = Target("far", "tcp", "192.0.2.1")


class Unreachable(MemoryTransport):
    """A transport to a broker that refuses."""

    async def __aenter__(self) -> Self:
        raise TransportError("broker: refused")


def make_endpoint(name: str, transport: type[MemoryTransport]) -> Endpoint:
    return Endpoint(name, "", lambda _: transport(MemoryBroker()))


@pytest.fixture
def context(tmp_path: Path) -> DoctorContext:
    return DoctorContext(
        folder=tmp_path,
        vantage="a1",
        targets=[Target("near", "tcp", "127.0.0.1")],
        consent=Consent(tmp_path / "consent.json"),
        endpoints=[make_endpoint("mqtt", Unreachable)],
        now=NOW,
        spool=SpoolState(3, 0, 1_000_000, 64 * 2**20, (3, 0)),
    )


async def checks(context: DoctorContext) -> dict[str, CheckResult]:
    results = await run_checks(context)
    assert all(one.fix for one in results if not one.ok), "every failure has a fix"
    return {one.name: one for one in results}


async def test_only_the_broker_fails_on_a_healthy_vantage(context: DoctorContext) -> None:
    results = await checks(context)
    failures = {name for name, one in results.items() if not one.ok}
    assert failures <= {"broker"}
    assert "broker" in failures
    assert results["spool"].text == "1% of 64 MiB; 3 batches pending"


async def test_nothing_visible_from_outside_runs_without_consent(context: DoctorContext) -> None:
    async def run_probe(target: Target) -> Measurement:
        raise AssertionError("visible from outside")

    def read_routes() -> dict[int, Gateway]:
        raise AssertionError("visible from outside")

    class Visible(MemoryTransport):
        async def __aenter__(self) -> Self:
            raise AssertionError("visible from outside")

    monitor = GatewayMonitor(routes=read_routes)
    endpoints = [make_endpoint("mqtt", Visible)]
    changed = replace(
        context, targets=[FAR], run_probe=run_probe, gateway=monitor, endpoints=endpoints
    )
    results = await checks(changed)
    assert not results["consent"].ok
    assert "without consent" in results["line"].text
    assert "without consent" in results["broker"].text


async def test_one_endpoint_that_responds_is_enough(context: DoctorContext) -> None:
    unreachable = [make_endpoint(name, Unreachable) for name in ("mqtt", "websocket")]
    none_responds = await checks(replace(context, endpoints=unreachable))
    for name in ("mqtt", "websocket"):
        assert not none_responds[name].ok
        assert "[[uplink]]" in none_responds[name].fix
    reachable = [*unreachable, make_endpoint("https", MemoryTransport)]
    one_responds = await checks(replace(context, endpoints=reachable))
    assert all(one_responds[name].ok for name in ("mqtt", "websocket", "https"))
    assert one_responds["mqtt"].text == "broker: refused"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "cannot be opened"),
        (SpoolState(3, 0, 60 * 2**20, 64 * 2**20, (3, 0)), "94%"),
        (SpoolState(3, 2, 2**20, 64 * 2**20, (3, 0)), "2 batches refused"),
    ],
)
async def test_spools_that_fail(
    context: DoctorContext, state: SpoolState | None, words: str
) -> None:
    result = (await checks(replace(context, spool=state)))["spool"]
    assert not result.ok
    assert words in result.text


@pytest.mark.parametrize(
    ("kernel", "year", "well", "text"),
    [
        (KernelClock(synced=True, error=0.01), 2026, True, "synchronised"),
        (KernelClock(synced=False, error=16.0), 2026, True, "not synchronised"),
        (None, 2026, True, "synchronisation unknown"),
        (KernelClock(synced=True, error=0.01), 1970, False, "shows 1970-03-08"),
    ],
)
async def test_clocks(
    context: DoctorContext,
    monkeypatch: pytest.MonkeyPatch,
    kernel: KernelClock | None,
    year: int,
    text: str,
    *,
    well: bool,
) -> None:
    monkeypatch.setattr(doctor, "read_kernel_clock", lambda: kernel)
    result = (await checks(replace(context, now=NOW.replace(year=year))))["clock"]
    assert (result.ok, result.text) == (well, text)
    assert bool(result.fix) == (kernel is not None and (not kernel.synced or not well))


@pytest.mark.parametrize(
    ("age", "refused", "well", "words"),
    [
        (-1, "", True, "version 7, valid until"),
        (1, "", False, "expired"),
        (-1, "version 6 is not newer than 7", False, "refused: version 6"),
    ],
)
async def test_lists(
    context: DoctorContext, age: int, refused: str, words: str, *, well: bool
) -> None:
    listed = TargetList(version=7, expires=NOW - timedelta(days=age))
    result = (await checks(replace(context, target_list=listed, rejection=refused)))["list"]
    assert result.ok is well
    assert words in result.text


async def test_a_probe_that_is_not_installed(
    context: DoctorContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = replace(context, probes={"quic": quic.QuicProbe()})
    monkeypatch.setattr(quic, "_INSTALLED", True)
    assert (await checks(changed))["probes"].ok
    monkeypatch.setattr(quic, "_INSTALLED", False)
    result = (await checks(changed))["probes"]
    assert (result.ok, result.fix) == (False, "pip install 'netwatch-observatory[quic]'")
    assert (await checks(context))["probes"].ok, "a probe that no target asks for is not needed"


GATEWAYS: dict[str, tuple[dict[int, Gateway], bool, str]] = {
    "none": ({}, False, "no default route"),
    "tunnel": ({4: Gateway("wg0")}, False, "wg0 is a tunnel"),
    "there": ({4: Gateway("lo", "127.0.0.1")}, True, "on lo"),
    "silent": ({4: Gateway("lo", "0.0.0.0")}, False, "no response on lo"),
}


@pytest.mark.parametrize("name", GATEWAYS)
async def test_gateways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    routes, well, text = GATEWAYS[name]

    async def tcp_ping(gateway: Gateway, port: int) -> bool | None:
        return None if gateway.address == "0.0.0.0" else True

    monkeypatch.setattr("netwatch.agent.health.gateway._tcp_ping", tcp_ping)
    monitor = GatewayMonitor(routes=lambda: routes, neighbour=lambda _: 0, ports=(free_port(),))
    result = await check_gateway(monitor)
    assert (result.ok, result.text) == (well, text)
    assert bool(result.fix) != well


WITNESSES = {
    name: Target(name, probe, host, group=f"witness-{name}")
    for name, probe, host in [
        ("lan", "tcp", "192.0.2.1"),
        ("isp", "tcp", "192.0.2.2"),
        ("domestic", "tcp", "192.0.2.3"),
        ("international", "tcp", "192.0.2.4"),
        ("captive", "http", "192.0.2.5"),
        ("names", "dns", "192.0.2.6"),
    ]
}


def probing(**failures: str) -> Callable[[Target], object]:
    """Probe without a network: the named targets fail, all others respond."""

    async def run_probe(target: Target) -> Measurement:
        word, _, detail = failures.get(target.id, "").partition("/")
        failure = lookup_failure(word) if word else None
        step = Observation("step", word or None, 0.1, detail)
        host_responded = failure is None or failure.host_responded or bool(detail)
        scope = "" if failure is None else failure.scope.value
        return Measurement(
            target.id, target.probe, NOW, word or None, scope, host_responded, 0.1, (step,)
        )

    return run_probe


SILENT = "generic_timeout_error"
LINES = {
    "well": ({}, {}, "ok: lan up, isp up, domestic up, international up"),
    "shutdown": ({"international": SILENT}, {"line-v4": "shutdown"}, "intl_cut: "),
    "cable": (
        dict.fromkeys(("lan", "isp", "domestic", "international", "names"), SILENT),
        {"line-v4": "cable", "names": "resolv.conf"},
        "lan_down: ",
    ),
    "provider": (
        {"isp": SILENT, "domestic": SILENT, "international": SILENT},
        {"line-v4": "provider"},
        "isp_cut: lan up, isp down",
    ),
    "portal": ({"captive": "http_unexpected_redirect_url"}, {"portal": "browser"}, "captive: "),
    "lies": (
        {"names": "dns_server_misbehaving/nxdomain_rewritten"},
        {"names": "another resolver"},
        "",
    ),
    "firewall": (
        dict.fromkeys(WITNESSES, "permission_denied"),
        {"line-v4": "nothing responds", "names": "resolv.conf"},
        "unknown: lan down",
    ),
}


@pytest.mark.parametrize("name", LINES)
async def test_lines(name: str) -> None:
    failures, fixes, text = LINES[name]
    results = {
        one.name: one for one in await check_line(list(WITNESSES.values()), probing(**failures))
    }
    assert {name for name, one in results.items() if one.fix} == set(fixes)
    for what, word in fixes.items():
        assert word in results[what].fix
        assert not results[what].ok
    assert results["line-v4"].text.startswith(text)


async def test_without_witnesses_nothing_is_checked() -> None:
    results = await check_line([FAR], probing())
    assert [(one.name, one.ok) for one in results] == [("portal", True), ("names", True)]
    assert all("not checked" in one.text for one in results)


async def test_a_folder_that_others_can_access_fails(context: DoctorContext) -> None:
    context.folder.chmod(0o755)
    result = (await checks(context))["disk"]
    assert not result.ok
    assert result.fix == f"run: chmod 700 {context.folder}"
    context.folder.chmod(0o700)
    assert (await checks(context))["disk"].ok
