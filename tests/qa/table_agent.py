"""Clock, sleep, uplink: what happens to a whole agent, and what it makes of it."""

from qa import scenes_agent as agent
from qa.case import Case, failing, well

from netwatch.agent.health.health import HealthState

__all__ = ["CASES"]

_CLOCK_BAD = frozenset({"clock_bad"})

CASES = [
    Case(
        "clockMinus2y",
        "the wall clock is two years slow; the collector says what time it is",
        agent.clock_slow,
        well("connect"),
        flags=_CLOCK_BAD,
    ),
    Case(
        "certNotYetValidClockWrong",
        "the same clock looks at a certificate that begins later",
        agent.not_yet_valid,
        failing("ssl_invalid_certificate", "certificate", "local", host_responded=True),
        flags=_CLOCK_BAD,
    ),
    Case(
        "clockJumpPlus6h",
        "the wall clock is set six hours on in the middle; rows are dated on",
        agent.clock_set_on,
        well("connect"),
    ),
    Case(
        "suspend2h",
        "the machine sleeps for two hours; the gap is noted",
        agent.machine_sleeps,
        failing("interrupted", "", "local"),
        state=HealthState.ASLEEP,
        look="@gap",
    ),
    Case(
        "brokerBlockedTlsOkUploadStalls",
        "the broker shakes hands and then reads nothing; measuring goes on",
        agent.broker_stalls,
        well("connect"),
    ),
]
