"""Past figures through the same functions as live ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.analysis.pipeline import Pipeline, PipelineResult, by_interval
from netwatch.model.errors import InputError
from netwatch.model.incident import Incident
from netwatch.protocols import Checkpoint, Ledger, SeriesStore
from netwatch.sources.long_table import LongForm

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Replay:
    """Where a replay goes.

    Attributes:
        pipeline: judges the bins; its width is that of the figures.
        store, ledger: what is written, as by a live observatory.
        at: a time at which to say what a live observatory would have said.
        progress: told the share that is done, 0 to 1.
    """

    pipeline: Pipeline
    store: SeriesStore
    ledger: Ledger
    at: datetime | None = None
    progress: Callable[[float], None] = lambda _: None


def replay_figures(figures: LongForm, replay: Replay) -> list[Incident]:
    """Judge every bin of `figures` and write it all down.

    Returns what would have been said of each open incident at `replay.at`, widest scope first.

    Raises:
        InputError: there are no figures at `replay.at`.
        StoreError: the store or the ledger cannot be written.
    """
    bins = list(figures.bins())
    end = bins[-1].time + figures.width
    if replay.at is not None and not bins[0].time <= replay.at < end:
        raise InputError(
            f"{replay.at:%Y-%m-%dT%H:%MZ}: no figures; they go from "
            f"{bins[0].time:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
        )
    said: list[Incident] = []
    done: list[PipelineResult] = []
    steps = _steps(figures, len(bins), replay)
    replay.store.put_bins(bins, closed_until=end)
    for step in steps:
        done.append(step)
        if replay.at is not None and step.time <= replay.at < step.time + figures.width:
            said = replay.pipeline.tracker.snapshots()
        if len(done) >= _CHUNK:
            _write(done, replay, figures.width)
    _write(done, replay, figures.width)
    return said


def _steps(figures: LongForm, total: int, replay: Replay) -> Iterator[PipelineResult]:
    """Yield the judgement of every interval, telling how far it is."""
    seen = 0
    for time, bins in by_interval(figures.bins(), figures.width):
        seen += len(bins)
        yield replay.pipeline.step(time, bins)
        replay.progress(seen / total)


def _write(done: list[PipelineResult], replay: Replay, width: timedelta) -> None:
    """Write down what was judged, and forget it."""
    if not done:
        return
    replay.store.put_levels([level for step in done for level in step.levels])
    replay.ledger.record(
        [revision for step in done for revision in step.revisions],
        [post for step in done for post in step.posts],
        checkpoint=Checkpoint(done[-1].time + width, replay.pipeline.save()),
    )
    done.clear()
