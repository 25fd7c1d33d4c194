"""The health state that each named combination of witnesses implies."""

import pytest

from netwatch.agent.health.judge_health import (
    Flag,
    HealthState,
    WitnessResult,
    WitnessTier,
    judge_health,
    tier_of,
)
from netwatch.model.measurement import Target

UP, HALF, DOWN, NONE = "up", "half", "down", "none"
RESPONSES = {UP: [True, True], HALF: [True, False], DOWN: [False, False], NONE: []}
TIERS = (
    WitnessTier.LAN,
    WitnessTier.ISP,
    WitnessTier.DOMESTIC,
    WitnessTier.INTERNATIONAL,
    WitnessTier.NAMES,
)

# lan, isp, domestic, international, names -> state
CASES = {
    "all is well": (UP, UP, UP, UP, UP, "ok"),
    "abroad alone is watched": (NONE, NONE, NONE, UP, NONE, "ok"),
    "a silent gateway": (DOWN, UP, UP, UP, UP, "ok"),
    "a silent resolver of the provider": (UP, DOWN, UP, UP, UP, "ok"),
    "one control abroad is down": (UP, UP, UP, HALF, UP, "degraded"),
    "one control at home is down": (UP, UP, HALF, UP, UP, "degraded"),
    "the country is down, abroad is not": (UP, UP, DOWN, UP, UP, "degraded"),
    "national shutdown": (UP, UP, UP, DOWN, UP, "intl_cut"),
    "national shutdown, weak": (UP, UP, HALF, DOWN, DOWN, "intl_cut"),
    "national shutdown, silent gateway": (DOWN, DOWN, UP, DOWN, NONE, "intl_cut"),
    "the provider is cut off": (UP, UP, DOWN, DOWN, UP, "isp_cut"),
    "the provider is dead": (UP, DOWN, DOWN, DOWN, DOWN, "isp_cut"),
    "the provider is dead, no home controls": (UP, DOWN, NONE, DOWN, NONE, "isp_cut"),
    "cable out": (DOWN, DOWN, DOWN, DOWN, DOWN, "lan_down"),
    "cable out, gateway unknown": (NONE, DOWN, DOWN, DOWN, DOWN, "unknown"),
    "names are dead, addresses work": (UP, UP, UP, UP, DOWN, "dns_only"),
    "no witness at all": (NONE, NONE, NONE, NONE, NONE, "unknown"),
    "home alone is watched": (UP, UP, UP, NONE, NONE, "ok"),
    "home alone is watched and dead": (UP, UP, DOWN, NONE, NONE, "isp_cut"),
    "the gateway alone is watched and dead": (DOWN, NONE, NONE, NONE, NONE, "lan_down"),
    "the gateway alone is watched and responds": (UP, NONE, NONE, NONE, NONE, "unknown"),
}


def results(case: tuple[str, ...]) -> list[WitnessResult]:
    return [
        WitnessResult(tier, responds)
        for tier, share in zip(TIERS, case, strict=True)
        for responds in RESPONSES[share]
    ]


@pytest.mark.parametrize("name", CASES)
def test_named_cases(name: str) -> None:
    *case, state = CASES[name]
    assert judge_health(results(tuple(case))) == state


def test_flags_that_are_states_come_first() -> None:
    fine = results((UP, UP, UP, UP, UP))
    assert judge_health(fine, [Flag.CAPTIVE]) is HealthState.CAPTIVE
    assert judge_health(fine, [Flag.CAPTIVE, Flag.OVERLOADED]) is HealthState.OVERLOADED
    assert judge_health(fine, [Flag.VPN, Flag.CLOCK_BAD, Flag.DNS_HIJACKED]) is HealthState.OK


def test_a_group_names_a_tier() -> None:
    assert tier_of(Target("a", "tcp", "x", group="witness-domestic")) is WitnessTier.DOMESTIC
    assert tier_of(Target("a", "tcp", "x", group="witness-moon")) is None
    assert tier_of(Target("a", "tcp", "x", group="domestic")) is None
