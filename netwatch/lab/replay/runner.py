"""Replays past series through the pipeline of a live observatory."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from netwatch.analysis.pipeline import Pipeline, PipelineResult, PipelineRunner
from netwatch.model.errors import InputError
from netwatch.model.incident import Incident
from netwatch.protocols import Ledger, SeriesStore
from netwatch.sources.long_table import SeriesTable


@dataclass(frozen=True, slots=True)
class Replay:
    """Input and output of a replay.

    Attributes:
        pipeline: evaluates the bins; its width is that of the series.
        store, ledger: receive what a live observatory writes.
        at: a time at which to report the open incidents.
        progress: called with the share done, 0 to 1.
    """

    pipeline: Pipeline
    store: SeriesStore
    ledger: Ledger
    at: datetime | None = None
    progress: Callable[[float], None] = lambda _: None


def replay_figures(figures: SeriesTable, replay: Replay) -> list[Incident]:
    """Evaluate and record every bin of `figures`.

    Returns the open incidents as of `replay.at`, widest scope first.

    Raises:
        InputError: the series do not cover `replay.at`.
        StoreError: the store or the ledger cannot be written.
    """
    bins = list(figures.bins())
    start, end = bins[0].time, bins[-1].time + figures.width
    if replay.at is not None and not start <= replay.at < end:
        raise InputError(
            f"{replay.at:%Y-%m-%dT%H:%MZ}: no figures; they go from "
            f"{start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
        )
    snapshots: list[Incident] = []

    def on_step(result: PipelineResult) -> None:
        if replay.at is not None and result.time <= replay.at < result.time + figures.width:
            snapshots.extend(replay.pipeline.tracker.snapshots())
        replay.progress((result.time + figures.width - start) / (end - start))

    replay.store.put_bins(bins, closed_until=end)
    runner = PipelineRunner(
        replay.pipeline, replay.store, replay.ledger, width=figures.width, on_step=on_step
    )
    while runner.catch_up():
        pass
    return snapshots
