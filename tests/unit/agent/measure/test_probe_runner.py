import asyncio
from datetime import UTC, datetime

import pytest

from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.model.measurement import Observation, Target
from netwatch.protocols import Probe

NOW = datetime(2026, 1, 8, tzinfo=UTC)
TARGET = Target("one", "made-up", "192.0.2.1")


class FakeProbe(Probe):
    """A probe with a given result."""

    name = "made-up"

    def __init__(
        self, *observations: Observation, error: Exception | None = None, hang: bool = False
    ) -> None:
        self._observations, self._error, self._hang = observations, error, hang

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        if self._hang:
            await asyncio.Event().wait()
        if self._error:
            raise self._error
        return self._observations


def runner(probe: FakeProbe, timeout: float = 1.0) -> ProbeRunner:
    return ProbeRunner({"made-up": probe}, lambda: NOW, timeout)


@pytest.mark.parametrize(
    ("outcomes", "failure", "scope", "host_responded"),
    [
        ([("connect", None)], None, "", True),
        ([("connect", "connection_refused")], "connection_refused", "refused", True),
        ([("connect", "generic_timeout_error")], "generic_timeout_error", "timeout", False),
        ([("connect", "network_down")], "network_down", "local", False),
        ([("resolve", "dns_nxdomain_error")], "dns_nxdomain_error", "dns", False),
        # A connection proves that the host responds, whatever follows.
        (
            [("connect", None), ("tls_handshake", "generic_timeout_error")],
            "generic_timeout_error",
            "timeout",
            True,
        ),
        # A resolved name proves the resolver, not the host.
        (
            [("resolve", None), ("connect", "generic_timeout_error")],
            "generic_timeout_error",
            "timeout",
            False,
        ),
        # A name server that refuses does respond.
        (
            [("dns_round_trip", None), ("resolve", "dns_refused_error")],
            "dns_refused_error",
            "dns",
            True,
        ),
        ([("connect", "something_new")], "something_new", "unknown", False),
        ([], "unknown_failure: probe", "local", False),
    ],
)
async def test_the_last_step_decides(
    outcomes: list[tuple[str, str | None]], failure: str | None, scope: str, *, host_responded: bool
) -> None:
    steps = [Observation(operation, word, 0.1) for operation, word in outcomes]
    measurement = await runner(FakeProbe(*steps)).measure(TARGET)
    assert (measurement.failure, measurement.scope, measurement.host_responded) == (
        failure,
        scope,
        host_responded,
    )
    assert (measurement.target, measurement.probe, measurement.time) == ("one", "made-up", NOW)
    assert measurement.observations == tuple(steps)


async def test_a_broken_probe_never_counts_against_a_target(
    caplog: pytest.LogCaptureFixture,
) -> None:
    measurement = await runner(FakeProbe(error=RuntimeError("oops"))).measure(TARGET)
    assert (measurement.failure, measurement.scope, measurement.host_responded) == (
        "unknown_failure: probe",
        "local",
        False,
    )
    assert "probe made-up failed at target one" in caplog.text


async def test_a_probe_that_hangs_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("netwatch.agent.measure.probe_runner._GRACE", 0.01)
    measurement = await runner(FakeProbe(hang=True), timeout=0.05).measure(TARGET)
    assert measurement.scope == "local"
    assert [one.exc_info for one in caplog.records] == [None]


async def test_a_probe_that_is_not_installed_is_a_local_failure() -> None:
    measurement = await ProbeRunner({}, lambda: NOW, 1.0).measure(TARGET)
    assert (measurement.failure, measurement.scope) == ("unavailable", "local")
