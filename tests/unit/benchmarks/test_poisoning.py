"""The judge of what liars can do: its cells, its verdicts and its table."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.poisoning.cells import HONEST, LIARS, TRICKS, Cell, fast_cells, full_cells
from benchmarks.poisoning.judge import Verdict, judge
from benchmarks.poisoning.liars import make_liars, reports_of
from benchmarks.poisoning.report import BEGIN, END, markdown, replace_between
from benchmarks.poisoning.truth import LIE_BINS, is_subject, truth_of
from benchmarks.poisoning.world import make_world

CELL = Cell(5, 3, "30 days", "many", "many", "event", "up", "country")


def test_full_table_has_every_number_and_trick() -> None:
    cells = full_cells()
    assert len(set(cells)) == len(cells)
    assert {(one.liars, one.honest) for one in cells} == {(a, b) for a in LIARS for b in HONEST}
    assert {one.trick for one in cells} == {"", *TRICKS}
    fast = fast_cells()
    assert {one.liars for one in fast} == set(LIARS)
    assert {one.honest for one in fast} == set(HONEST)
    assert {one.trick for one in fast} == {"", *TRICKS}


def test_world_follows_from_its_seed() -> None:
    assert make_world(4, 10) == make_world(4, 10)
    assert make_world(4, 10) != make_world(5, 10)


@pytest.mark.parametrize("about", ["country", "network", "site"])
def test_liars_contradict_the_truth_about_their_subject_alone(about: str) -> None:
    cell = replace(CELL, about=about)
    world = make_world(cell.seed, cell.honest)
    truth = truth_of(cell, world)
    subject = {name for name, one in world.targets.items() if is_subject(cell, world, one)}
    rows = [
        row
        for report in reports_of(cell, world, truth, make_liars(cell, world))
        for row in report.rows
    ]
    assert subject
    assert all(row.failure is None for row in rows if row.target in subject)
    assert all(row.failure for row in rows if row.target in truth.down - subject)


def test_late_liars_are_silent_until_the_end() -> None:
    cell = replace(CELL, trick="late")
    world = make_world(cell.seed, cell.honest)
    reports = reports_of(cell, world, truth_of(cell, world), make_liars(cell, world))
    assert {report.arrives for report in reports} == {LIE_BINS}


def test_a_claim_that_all_is_well_makes_no_incident_in_ordinary_times() -> None:
    verdict = judge(Cell(1, 3, "30 days", "one", "one", "ordinary", "up", "network"))
    assert (verdict.false, verdict.hidden, verdict.withheld) == ((), (), 0)


def test_table_replaces_what_is_between_its_markers(tmp_path: Path) -> None:
    verdict = Verdict(
        cell=CELL,
        points=9,
        mean_points=1,
        national_points=8,
        withheld=0,
        false=(),
        hidden=("outage of country:AA",),
        rewritten=0,
        unsure=False,
        honest_networks=2,
        liar_networks=5,
        missed=("hidden",),
    )
    text = markdown([verdict])
    assert "8.0 points, 1 hidden, 1 missed of 1" in text
    page = tmp_path / "page.md"
    page.write_text(f"a\n{BEGIN}\nold\n{END}\nb\n")
    replace_between(page, text)
    assert "old" not in page.read_text()
    assert page.read_text().startswith("a\n")
    assert page.read_text().endswith("\nb\n")
    page.write_text("no markers")
    with pytest.raises(ValueError, match="no <!--"):
        replace_between(page, text)
