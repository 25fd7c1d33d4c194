"""The attacks of `tests/adversary` next to honest agents.

The short form has each family once, at the door where it does most; the long one, which
`python -m tests.adversary` runs too, each attack at every door.
"""

from pathlib import Path

import pytest
from adversary.frame.checks import Result
from adversary.frame.command import run_attacks
from adversary.frame.registry import all_attacks
from adversary.frame.stage import DOORS

SHORT = {
    "embedded": (
        "broker-floods", "garbage-on-every-topic", "slow-connects", "superseded-ranges",
        "words-that-act",
    ),
    "mosquitto": (
        "broken-packets", "closed-bins-rewritten", "payload-of-megabytes", "presence-not-utf8",
    ),
    "https": (
        "batches-under-another-name", "clock-samples", "crowd-of-new-keys", "crowd-of-readers",
        "enrollment-flood", "new-keys", "strange-requests", "unpacking-bomb",
    ),
}  # fmt: skip
LONG = {"closed-hours-named-again", "own-clock-wrong", "slow-clients"}
"""Attacks that take too long for it; unit tests hold what they are about."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("door", SHORT)
async def test_the_observatory_withstands_every_family_of_attacks(
    door: str, tmp_path: Path
) -> None:
    chosen = [one for one in all_attacks() if one.name in SHORT[door]]
    results = await run_attacks(chosen, [door], tmp_path)
    assert {one.name for one in results} == set(SHORT[door])
    assert [one for one in results if one.faults] == list[Result]()


def test_every_attack_is_in_the_short_form_or_too_long_for_it() -> None:
    short = [name for names in SHORT.values() for name in names]
    assert sorted([*short, *LONG]) == [one.name for one in all_attacks()]


@pytest.mark.long
@pytest.mark.parametrize("door", DOORS)
async def test_the_observatory_withstands_every_attack(door: str, tmp_path: Path) -> None:
    results = await run_attacks(all_attacks(), [door], tmp_path)
    assert results
    assert [one for one in results if one.faults] == list[Result]()
