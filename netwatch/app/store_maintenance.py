"""Hourly maintenance of the store: each engine compacts, rolls up or drops by its own rules."""

import asyncio
import logging

from netwatch.app.clock import now
from netwatch.model.errors import StoreError
from netwatch.protocols import MaintainedStore, SeriesStore

_log = logging.getLogger(__name__)
_INTERVAL = 3600.0
"""Seconds between two runs; a bin of the widest rollup is one hour."""


async def run_maintenance(store: SeriesStore) -> None:
    """Maintain the store now and then every hour, until cancelled. Failures are logged."""
    while True:
        if isinstance(store, MaintainedStore):
            try:
                await asyncio.to_thread(store.maintain, now())
            except StoreError as error:
                _log.warning("store maintenance failed: %s", error)
        await asyncio.sleep(_INTERVAL)
