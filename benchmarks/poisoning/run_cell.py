"""Runs one cell, and the same cell without liars, through a whole observatory."""

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from benchmarks.poisoning.cells import Cell
from benchmarks.poisoning.liars import Report, make_liars, reports_of
from benchmarks.poisoning.observatory import Observatory, Outcome, make_world_pipeline, retimed
from benchmarks.poisoning.truth import CLEAN_BINS, LIE_BINS, honest_rows, truth_of
from benchmarks.poisoning.world import START, WIDTH, Member, World, make_world

__all__ = ["LATE_TRICKS", "honest_outcome", "lied_outcome"]

_MEMORY = Path("/dev/shm")
"""A folder in memory, where the files of an observatory need not be synced."""
_PAST = timedelta(days=2, hours=4)
"""Quiet past that the detector learns from: its default minimum, and a little more."""
_PAST_BINS = 24
"""Intervals of it that are really counted; they repeat."""
_BASELINE_SEED = 7
_VANISHING = {"presence", "everything"}
"""Tricks for which liars vanish together."""
LATE_TRICKS = {"late", "everything"}
"""Tricks for which liars send afterwards."""


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)


@lru_cache(maxsize=8)
def _world(seed: int, honest: int) -> World:
    return make_world(seed, honest)


@lru_cache(maxsize=8)
def _learned(seed: int, honest: int) -> bytes:
    """Return the state of an observatory after a quiet past, just before the clean intervals."""
    world = _world(seed, honest)
    quiet = truth_of(Cell(1, honest, "new", "one", "one", "ordinary", "up", "country"), world)
    with _folder() as folder:
        observatory = Observatory(Path(folder), world)
        observatory.admit(world.honest)
        first = START - (CLEAN_BINS + _PAST_BINS) * WIDTH
        observatory.listen(first)
        span = range(-CLEAN_BINS - _PAST_BINS, -CLEAN_BINS)
        counted = []
        for number, rows in honest_rows(world, quiet, bins=span, seed=_BASELINE_SEED):
            observatory.receive(rows, START + number * WIDTH)
            counted.append(observatory.close_bin(START + number * WIDTH))
        # Agents that vanish together are evidence of their own, which nothing is learned from.
        pipeline = make_world_pipeline(world)
        rounds = _PAST // (_PAST_BINS * WIDTH)
        for turn in range(rounds, 0, -1):
            for number, bins in enumerate(counted):
                shift = -(turn - 1) * _PAST_BINS * WIDTH
                pipeline.step(first + number * WIDTH + shift, retimed(bins, shift))
        state = pipeline.save()
        observatory.close()
    return state


@lru_cache(maxsize=64)
def honest_outcome(seed: int, honest: int, time: str, about: str) -> Outcome:
    """Return what is recorded without liars."""
    cell = Cell(0, honest, "new", "one", "one", time, "up", about, seed=seed)
    return _run(cell, [])


def lied_outcome(cell: Cell) -> Outcome:
    """Return what is recorded with the liars of `cell`."""
    return _run(cell, make_liars(cell, _world(cell.seed, cell.honest)))


def _run(cell: Cell, liars: Sequence[Member]) -> Outcome:
    world = _world(cell.seed, cell.honest)
    truth = truth_of(cell, world)
    outcome = Outcome()
    with _folder() as folder:
        someone_vanishes = bool(truth.silent) or cell.trick in _VANISHING
        observatory = Observatory(
            Path(folder), world, watch_presence=someone_vanishes, review=cell.trick in LATE_TRICKS
        )
        observatory.pipeline.load(_learned(cell.seed, cell.honest))
        observatory.admit([*world.honest, *liars])
        observatory.listen(START - CLEAN_BINS * WIDTH)
        observatory.vanish(
            [one.vantage for one in world.honest if one.vantage.asn in truth.silent],
            START + timedelta(seconds=40),
        )
        if cell.trick in _VANISHING:
            observatory.vanish([one.vantage for one in liars], START + timedelta(seconds=40))
        reports: dict[int, list[Report]] = {}
        for report in reports_of(cell, world, truth, list(liars)):
            reports.setdefault(report.arrives, []).append(report)
        admitted: dict[object, bool] = {}
        for number, rows in honest_rows(
            world, truth, bins=range(-CLEAN_BINS, LIE_BINS), seed=cell.seed
        ):
            time = START + number * WIDTH
            observatory.receive(rows, time)
            _receive(observatory, reports.get(number, ()), admitted, late=False)
            result = observatory.step(time)
            outcome.levels.append({level.series: level for level in result.levels})
            outcome.revisions += [(number, revision) for revision in result.revisions]
        _receive(observatory, reports.get(LIE_BINS, ()), admitted, late=True)
        observatory.recount()
        outcome.bins = {
            (one.time, one.series): one
            for one in observatory.store.read_bins(START, START + LIE_BINS * WIDTH)
        }
        outcome.alerts = observatory.alerts()
        observatory.close()
    outcome.levels = outcome.levels[CLEAN_BINS:]
    return outcome


def _receive(
    observatory: Observatory,
    reports: Sequence[Report],
    admitted: dict[object, bool],
    *,
    late: bool,
) -> None:
    """Receive what liars send, as far as the registry lets the place that they claim count."""
    for report in reports:
        if report.vantage not in admitted:
            at = START + timedelta(seconds=1)
            admitted[report.vantage] = observatory.first_batch(report.vantage, at)
        if admitted[report.vantage]:
            rows = [(report.vantage, row) for row in report.rows]
            observatory.receive(rows, rows[0][1].time, late=late)
