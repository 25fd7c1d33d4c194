"""What liars may not achieve, on few cells that touch every goal; `python -m benchmarks.poisoning`
runs the whole table."""

import pytest

from benchmarks.poisoning.cells import HONEST, fast_cells
from benchmarks.poisoning.judge import judge

_HELD = {"new keys", "false", "hidden", "unsure", "rewritten"}
"""Goals of `benchmarks.poisoning.judge` that these cells hold."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("honest", HONEST)
def test_liars_neither_invent_nor_hide_an_outage(honest: int) -> None:
    verdicts = [judge(cell) for cell in fast_cells() if cell.honest == honest]
    missed = {one.cell.label(): one.missed for one in verdicts if _HELD.intersection(one.missed)}
    assert verdicts
    assert missed == {}
