"""Looking after the embedded store: past days become files, old bins become wider ones."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec

from netwatch.app.clock import now
from netwatch.app.factories import open_store
from netwatch.app.observatory import ObservatoryContext
from netwatch.config import Config
from netwatch.model.errors import StoreError
from netwatch.protocols import SeriesStore
from netwatch.store.rollup import TIERS, Tier, keep_house, roll_up
from netwatch.store.sqlite import SqliteStore

_LOG = logging.getLogger(__name__)
_EVERY = timedelta(hours=1)
_HOUR = timedelta(hours=1)


async def run_upkeep(opened: ObservatoryContext) -> None:
    """Look after the store at the start and then once an hour, until cancelled.

    The embedded store is sealed, rolled up and pruned. InfluxDB drops what is old by its own
    retention; hourly bins go to a second database, where one is named.
    """
    keep = keep_store if isinstance(opened.store, SqliteStore) else keep_elsewhere
    while True:
        try:
            await asyncio.to_thread(keep, opened.config, opened.store)
        except StoreError as error:
            _LOG.warning("the store is not looked after: %s", error)
        await asyncio.sleep(_EVERY.total_seconds())


def keep_elsewhere(config: Config, store: SeriesStore) -> None:
    """Roll closed bins up into the database for hourly ones, if `[store]` names one.

    Raises:
        StoreError: one of them cannot be read or written; the next call goes on.
    """
    if config.store.hourly:
        section = msgspec.structs.replace(config.store, database=config.store.hourly)
        with closing(open_store(msgspec.structs.replace(config, store=section))) as wider:
            roll_up(store, wider, _HOUR)


def keep_store(config: Config, store: SeriesStore) -> None:
    """Seal past days, roll old bins up and drop what is past its keeping.

    Raises:
        StoreError: a store cannot be read or written; the next call goes on.
    """
    assert isinstance(store, SqliteStore), "only the embedded store is files"
    for entry in store.seal():
        _LOG.info("sealed %s", entry)
    raw, *others = _kept(TIERS, config)
    with ExitStack() as stack:
        wider = [
            (tier, stack.enter_context(closing(SqliteStore(_tier_path(config, tier)))))
            for tier in others
        ]
        keep_house([(raw, store), *wider], now())


def _tier_path(config: Config, tier: Tier) -> Path:
    """Return where the wider bins of a tier are kept."""
    return Path(config.data) / tier.name / "series.sqlite"


def _kept(tiers: Sequence[Tier], config: Config) -> list[Tier]:
    """Return the tiers, kept as long as the configuration says."""
    keeps = {"raw": config.store.raw, "five-minutes": config.store.five_minutes}
    return [replace(tier, keep=keeps.get(tier.name, tier.keep)) for tier in tiers]
