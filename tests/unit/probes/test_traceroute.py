"""Paths on loopback. `test_traceroute_hops.py` has longer ones."""

from pathlib import Path

import pytest
from servers import udp_server

from netwatch.model.failure import FailureScope, lookup_failure
from netwatch.model.measurement import Observation, Target
from netwatch_probes import traceroute
from netwatch_probes.asn_lookup import lookup_asns
from netwatch_probes.traceroute import TracerouteProbe


async def measure(host: str, within: float = 5.0, **how: Path) -> Observation:
    target = Target("one", "traceroute", host)
    return (await TracerouteProbe(**how).measure(target, within=within))[-1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_this_machine_is_one_hop_away(host: str) -> None:
    step = await measure(host)
    if step.failure in {"address_not_available", "network_unreachable"}:
        pytest.skip(f"there is no {host} here")
    assert (step.operation, step.failure, step.detail) == ("traceroute", None, "private")


async def test_a_silent_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open port sends no ICMP error: the hop is silent."""
    monkeypatch.setattr(traceroute, "_MAX_HOPS", 1)
    async with udp_server(lambda _: [(0.0, b"hello")]) as port:
        monkeypatch.setattr(traceroute, "_BASE_PORT", port - 1)
        step = await measure("127.0.0.1", within=0.5)
    assert (step.failure, step.detail) == ("generic_timeout_error", "silent")
    assert step.seconds < 4


async def test_on_other_systems_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traceroute.sys, "platform", "darwin")
    step = await measure("127.0.0.1")
    assert step.failure == "unavailable"
    assert lookup_failure("unavailable").scope is FailureScope.LOCAL


def test_hops_are_described_without_addresses(tmp_path: Path) -> None:
    """Public hops are an ASN or `public`, and equal hops are counted."""
    table = tmp_path / "table"
    table.write_text("8.0.0.0\t9\t64500\n8.8.0.0\t16\t64501_64502\n2001:4860::\t32\t64503\n")
    hops = ["192.168.1.1", "10.0.0.1", "", "8.1.1.1", "8.8.8.8", "8.8.4.4", "1.1.1.1", "", ""]
    probe = TracerouteProbe(networks=table)
    path = probe._describe(hops)
    assert path == "private*2,silent,AS64500,AS64501*2,public,silent*2"
    assert probe._describe(["2001:4860::1", "fd00::1"]) == "AS64503,private"
    assert TracerouteProbe()._describe(["8.8.8.8"]) == "public"


def test_the_longest_path_fits() -> None:
    hops = ["8.8.8.8", "192.168.0.1", ""] * 10
    assert len(TracerouteProbe()._describe(hops)) <= 128


@pytest.mark.parametrize(
    "text", ["", "nonsense\n\n1.2.3\t8\t5\n", "1.0.0.0\t99\t5\n", "1.0.0.0\t8\tfive\n", "\xff\x00"]
)
def test_a_malformed_table_covers_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "table").write_text(text, encoding="latin-1")
    assert lookup_asns(["1.1.1.1"], tmp_path / "table") == {}
    assert lookup_asns(["1.1.1.1"], tmp_path / "missing") == {}


def test_the_longest_prefix_wins_in_any_order(tmp_path: Path) -> None:
    rows = ["1.0.0.0\t8\t1", "1.1.1.0\t24\t3", "1.1.0.0\t16\t2"]
    for number in range(3):
        (tmp_path / "table").write_text("\n".join(rows[number:] + rows[:number]))
        assert lookup_asns(["1.1.1.1"], tmp_path / "table") == {"1.1.1.1": 3}
