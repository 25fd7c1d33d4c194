"""How the fleet is: who is there of those who should be, by network and version of the agent."""

from collections import Counter
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from netwatch.collector.batch_log import BATCH_LOG_FILE
from netwatch.collector.registry import Registry
from netwatch.config import Config
from netwatch.signals.presence.log import PRESENCE_FILE, PresenceLog
from netwatch.store.influx.health import FleetHealth

_UNKNOWN = "unknown"


def fleet_health(config: Config, at: datetime) -> list[FleetHealth]:
    """Return a row for each network and version; none where nobody was ever watched.

    Whoever was there in the last weeks and did not say goodbye should be there. No row names
    an agent, and the store folds networks of few into one.

    Raises:
        StoreError: the tables cannot be read.
    """
    folder = Path(config.data)
    if not (folder / PRESENCE_FILE).exists():
        return []
    with ExitStack() as stack:
        presence_log = stack.enter_context(PresenceLog(folder / PRESENCE_FILE))
        registry = stack.enter_context(Registry(folder / BATCH_LOG_FILE))
        stays = [stay for stay in presence_log.sessions(at) if stay.ending != "stop"]
        versions = {one.name: one.software for one in registry.agents(at)}
    online: Counter[tuple[str, str]] = Counter()
    enrolled: Counter[tuple[str, str]] = Counter()
    for stay in stays:
        key = str(stay.vantage.asn or _UNKNOWN), versions.get(stay.vantage.id) or _UNKNOWN
        enrolled[key] += 1
        online[key] += stay.end is None
    return [
        FleetHealth(at, asn, version, online[asn, version], count)
        for (asn, version), count in sorted(enrolled.items())
    ]
