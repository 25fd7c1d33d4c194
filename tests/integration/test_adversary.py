"""The attacks of `tests/adversary`, each once at every door, next to honest agents."""

from pathlib import Path

import pytest
from adversary.frame.checks import Result
from adversary.frame.command import run_attacks
from adversary.frame.registry import all_attacks
from adversary.frame.stage import DOORS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("door", DOORS)
async def test_the_observatory_withstands_every_attack(door: str, tmp_path: Path) -> None:
    results = await run_attacks(all_attacks(), [door], tmp_path)
    assert results
    assert [one for one in results if one.faults] == list[Result]()
