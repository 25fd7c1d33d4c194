"""The analysis loop: evaluates closed bins as they come."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta
from time import monotonic

from prometheus_client import CollectorRegistry, Gauge

from netwatch.analysis.pipeline import PipelineResult, PipelineRunner
from netwatch.model.errors import StoreError

_LOG = logging.getLogger(__name__)


async def run_analysis(
    runner: PipelineRunner, *, pause: timedelta, registry: CollectorRegistry | None = None
) -> None:
    """Evaluate closed bins until cancelled; poll the store every `pause`.

    Retries while the store or the ledger is unavailable; logs the first failure of a run.
    Exports the seconds per interval of the latest run to `registry`.
    """
    seconds = Gauge(
        "netwatch_pipeline_detector_seconds",
        "Time to evaluate an interval, latest.",
        ["stage"],
        registry=registry,
    )
    failing, results = False, list[PipelineResult]()
    while True:
        try:
            started = monotonic()
            results = await asyncio.to_thread(runner.catch_up)
            if results:
                seconds.labels("analysis").set((monotonic() - started) / len(results))
        except StoreError as error:
            if not failing:
                _LOG.warning("analysis is paused: %s", error)
            failing, results = True, []
        else:
            failing = False
        log_results(results)
        if not results:
            await asyncio.sleep(pause.total_seconds())


def log_results(results: Iterable[PipelineResult]) -> None:
    """Log every revision, and a warning for each interval in which our own side failed."""
    for result in results:
        if result.operator_alert:
            _LOG.warning("%s at %s: suspect ourselves", result.operator_alert, result.time)
        for revision in result.revisions:
            _LOG.info(
                "%s revision %d: %s, %s at %s",
                revision.id, revision.revision, revision.reason, revision.entity, revision.at,
            )  # fmt: skip
