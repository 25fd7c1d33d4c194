"""Faults of the clock, the machine and the broker of a whole agent."""

from qa import scenarios_agent as agent
from qa.case import Case, failure, success

from netwatch.agent.health.judge_health import HealthState

__all__ = ["CASES"]

_CLOCK_BAD = frozenset({"clock_bad"})

CASES = [
    Case(
        "clockMinus2y",
        "the wall clock is two years behind; acknowledgements give the time",
        agent.clock_slow,
        success("connect"),
        flags=_CLOCK_BAD,
    ),
    Case(
        "certNotYetValidClockWrong",
        "a certificate that begins later, with the same clock",
        agent.not_yet_valid,
        failure("ssl_invalid_certificate", "certificate", "local", host_responded=True),
        flags=_CLOCK_BAD,
    ),
    Case(
        "clockJumpPlus6h",
        "the wall clock is stepped six hours forward while measuring",
        agent.clock_set_on,
        success("connect"),
    ),
    Case(
        "suspend2h",
        "the machine sleeps for two hours; the gap is an event",
        agent.machine_sleeps,
        failure("interrupted", "", "local"),
        state=HealthState.ASLEEP,
        row="@gap",
    ),
    Case(
        "brokerBlockedTlsOkUploadStalls",
        "the broker completes the handshake and then reads nothing; measuring continues",
        agent.broker_stalls,
        success("connect"),
    ),
]
