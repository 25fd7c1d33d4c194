"""What the doctor finds on loopback, and what it says to do about it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers import free_port

from netwatch.agent import doctor
from netwatch.agent.check_result import CheckResult
from netwatch.agent.clock import KernelClock
from netwatch.agent.consent import Consent
from netwatch.agent.doctor import DoctorContext, run_checks
from netwatch.agent.doctor_network import check_gateway, check_line
from netwatch.agent.health.gateway import Gateway, GatewayMonitor
from netwatch.agent.spool.spool import SpoolState
from netwatch.agent.target_list import TargetList
from netwatch.model.errors import TransportError
from netwatch.model.failure import lookup_failure
from netwatch.model.measurement import Measurement, Observation, Target
from netwatch.protocols import Transport
from netwatch_probes import quic

NOW = datetime(2026, 3, 8, tzinfo=UTC)
FAR = Target("far", "tcp", "192.0.2.1")


def no_link() -> Transport:
    raise TransportError("broker: refused")


@pytest.fixture
def patient(tmp_path: Path) -> DoctorContext:
    return DoctorContext(
        folder=tmp_path,
        vantage="a1",
        targets=[Target("near", "tcp", "127.0.0.1")],
        consent=Consent(tmp_path / "consent.json"),
        connect=no_link,
        now=NOW,
        spool=SpoolState(3, 0, 1_000_000, 64 * 2**20, (3, 0)),
    )


async def find(patient: DoctorContext) -> dict[str, CheckResult]:
    findings = await run_checks(patient)
    assert all(one.fix for one in findings if not one.ok), "every ill has a cure"
    return {one.name: one for one in findings}


async def test_a_well_vantage_is_ill_of_its_broker_alone(patient: DoctorContext) -> None:
    found = await find(patient)
    ill = {name for name, one in found.items() if not one.ok}
    assert ill <= {"broker"}
    assert "broker" in ill
    assert found["spool"].text == "1% of 64 MiB; 3 batches wait"


async def test_nothing_is_asked_before_somebody_has_agreed(patient: DoctorContext) -> None:
    async def measure(target: Target) -> Measurement:
        raise AssertionError("this can be seen from outside")

    def look() -> dict[int, Gateway]:
        raise AssertionError("and so can this")

    def connect() -> Transport:
        raise AssertionError("and the way to the observatory just as well")

    watch = GatewayMonitor(routes=look)
    asked = replace(patient, targets=[FAR], measure=measure, gateway=watch, connect=connect)
    found = await find(asked)
    assert not found["consent"].ok
    assert "nobody has agreed" in found["line"].text
    assert "nobody has agreed" in found["broker"].text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "cannot be opened"),
        (SpoolState(3, 0, 60 * 2**20, 64 * 2**20, (3, 0)), "94%"),
        (SpoolState(3, 2, 2**20, 64 * 2**20, (3, 0)), "2 batches refused"),
    ],
)
async def test_spools_that_need_somebody(
    patient: DoctorContext, state: SpoolState | None, words: str
) -> None:
    found = (await find(replace(patient, spool=state)))["spool"]
    assert not found.ok
    assert words in found.text


@pytest.mark.parametrize(
    ("kernel", "year", "well", "text"),
    [
        (KernelClock(synced=True, error=0.01), 2026, True, "kept right"),
        (KernelClock(synced=False, error=16.0), 2026, True, "nobody keeps it right"),
        (None, 2026, True, "not told"),
        (KernelClock(synced=True, error=0.01), 1970, False, "it shows 1970-03-08"),
    ],
)
async def test_clocks(
    patient: DoctorContext,
    monkeypatch: pytest.MonkeyPatch,
    kernel: KernelClock | None,
    year: int,
    text: str,
    *,
    well: bool,
) -> None:
    monkeypatch.setattr(doctor, "read_kernel_clock", lambda: kernel)
    found = (await find(replace(patient, now=NOW.replace(year=year))))["clock"]
    assert (found.ok, found.text) == (well, text)
    assert bool(found.fix) == (kernel is not None and (not kernel.synced or not well))


@pytest.mark.parametrize(
    ("age", "refused", "well", "words"),
    [
        (-1, "", True, "version 7, good until"),
        (1, "", False, "it is old"),
        (-1, "version 6 is not newer than 7", False, "refused: version 6"),
    ],
)
async def test_lists(
    patient: DoctorContext, age: int, refused: str, words: str, *, well: bool
) -> None:
    listed = TargetList(version=7, expires=NOW - timedelta(days=age))
    found = (await find(replace(patient, target_list=listed, rejection=refused)))["list"]
    assert found.ok is well
    assert words in found.text


async def test_a_probe_that_is_not_installed(
    patient: DoctorContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(patient, probes={"quic": quic.QuicProbe()})
    monkeypatch.setattr(quic, "_INSTALLED", True)
    assert (await find(asked))["probes"].ok
    monkeypatch.setattr(quic, "_INSTALLED", False)
    found = (await find(asked))["probes"]
    assert (found.ok, found.fix) == (False, "pip install 'netwatch-observatory[quic]'")
    assert (await find(patient))["probes"].ok, "what nobody asks for need not be there"


GATEWAYS: dict[str, tuple[dict[int, Gateway], bool, str]] = {
    "none": ({}, False, "no default route"),
    "tunnel": ({4: Gateway("wg0")}, False, "wg0 is a tunnel"),
    "there": ({4: Gateway("lo", "127.0.0.1")}, True, "by lo"),
    "silent": ({4: Gateway("lo", "0.0.0.0")}, False, "by lo; it is silent"),
}


@pytest.mark.parametrize("name", GATEWAYS)
async def test_gateways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    routes, well, text = GATEWAYS[name]

    async def knock(gateway: Gateway, port: int) -> bool | None:
        return None if gateway.address == "0.0.0.0" else True

    monkeypatch.setattr("netwatch.agent.health.gateway._tcp_ping", knock)
    watch = GatewayMonitor(routes=lambda: routes, neighbour=lambda _: 0, ports=(free_port(),))
    found = await check_gateway(watch)
    assert (found.ok, found.text) == (well, text)
    assert bool(found.fix) != well


RUNGS = {
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


def saying(**failures: str) -> Callable[[Target], object]:
    """Measure without a network: what fails says how, everything else is well."""

    async def measure(target: Target) -> Measurement:
        word, _, detail = failures.get(target.id, "").partition("/")
        failure = lookup_failure(word) if word else None
        step = Observation("step", word or None, 0.1, detail)
        host_responded = failure is None or failure.host_responded or bool(detail)
        scope = "" if failure is None else failure.scope.value
        return Measurement(
            target.id, target.probe, NOW, word or None, scope, host_responded, 0.1, (step,)
        )

    return measure


DEAF = "generic_timeout_error"
LINES = {
    "well": ({}, {}, "ok: lan up, isp up, domestic up, international up"),
    "shutdown": ({"international": DEAF}, {"line-v4": "shutdown"}, "intl_cut: "),
    "cable": (
        dict.fromkeys(("lan", "isp", "domestic", "international", "names"), DEAF),
        {"line-v4": "cable", "names": "resolv.conf"},
        "lan_down: ",
    ),
    "provider": (
        {"isp": DEAF, "domestic": DEAF, "international": DEAF},
        {"line-v4": "provider"},
        "isp_cut: lan up, isp down",
    ),
    "portal": ({"captive": "http_unexpected_redirect_url"}, {"portal": "browser"}, "captive: "),
    "lies": (
        {"names": "dns_server_misbehaving/nxdomain_rewritten"},
        {"names": "another resolver"},
        "",
    ),
}


@pytest.mark.parametrize("name", LINES)
async def test_lines(name: str) -> None:
    failures, cures, text = LINES[name]
    found = {one.name: one for one in await check_line(list(RUNGS.values()), saying(**failures))}
    assert {name for name, one in found.items() if one.fix} == set(cures)
    for what, word in cures.items():
        assert word in found[what].fix
        assert not found[what].ok
    assert found["line-v4"].text.startswith(text)


async def test_without_witnesses_nothing_is_claimed() -> None:
    found = await check_line([FAR], saying())
    assert [(one.name, one.ok) for one in found] == [("portal", True), ("names", True)]
    assert all("not looked" in one.text for one in found)


async def test_a_folder_that_others_may_look_into_is_ill(patient: DoctorContext) -> None:
    patient.folder.chmod(0o755)
    found = (await find(patient))["disk"]
    assert not found.ok
    assert found.fix == f"run: chmod 700 {patient.folder}"
    patient.folder.chmod(0o700)
    assert (await find(patient))["disk"].ok
