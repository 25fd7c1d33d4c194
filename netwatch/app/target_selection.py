"""The targets of a vantage: its own ones, and those of the observatory's list that it may probe."""

import asyncio
from dataclasses import dataclass
from functools import cache

from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.http_client import fetch
from netwatch.agent.target_list import MAX_LIST_BYTES, TargetList
from netwatch.agent.target_list_store import TargetListStore
from netwatch.agent.target_policy import ListedTarget, SkippedTarget, select_targets
from netwatch.app.vantage_files import list_path, open_consent, read_enrollment
from netwatch.app.wall_clock import now
from netwatch.config import Config
from netwatch.model.measurement import Target
from netwatch.plugins import load_plugin, plugin_names
from netwatch.protocols import Clock
from netwatch.wire.enrollment import TARGET_LIST_PATH


@dataclass(frozen=True, slots=True)
class TargetSelection:
    """Which targets a vantage probes, and which it skips.

    `own` targets are configured here; `listed` and `skipped` ones are in the observatory's list.
    """

    own: tuple[Target, ...]
    listed: tuple[ListedTarget, ...] = ()
    skipped: tuple[SkippedTarget, ...] = ()
    target_list: TargetList | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets that are probed."""
        return (*self.own, *(one.target for one in self.listed))


def open_target_list_store(config: Config, *, key: bytes | None = None) -> TargetListStore:
    """Return the store of the observatory's newest valid target list.

    The default `key` is the one received on enrollment, else that of the first list.
    """
    enrollment = read_enrollment(config)
    if key is None and enrollment is not None:
        key = bytes.fromhex(enrollment.targets_key)
    return TargetListStore(list_path(config), key=key)


def choose_targets(config: Config) -> TargetSelection:
    """Return the targets of this vantage; its own ones override listed ones of the same id."""
    target_list = open_target_list_store(config).current()
    if target_list is None:
        return TargetSelection(config.target)
    own_ids = {target.id for target in config.target}
    offered = [one for one in target_list.listed_targets() if one.target.id not in own_ids]
    installed = set(plugin_names("probes"))
    needed = installed & {one.target.probe for one in offered}
    selected, skipped = select_targets(
        offered,
        open_consent(config).scope(),
        country=config.vantage.country,
        in_consent_text={name for name in needed if _is_in_consent_text(name)},
        high_risk_countries=target_list.high_risk_countries,
    )
    skipped += [
        SkippedTarget(one, f"no probe {one.target.probe} is installed")
        for one in selected
        if one.target.probe not in installed
    ]
    listed = tuple(one for one in selected if one.target.probe in installed)
    return TargetSelection(config.target, listed, tuple(skipped), target_list)


@cache
def _is_in_consent_text(probe: str) -> bool:
    return getattr(load_plugin("probes", probe), "in_consent_text", False) is True


async def fetch_target_list(
    enrollment: Enrollment, store: TargetListStore, clock: Clock = now
) -> bool:
    """Fetch the observatory's target list over HTTP; return whether it is a new one.

    `clock` says whether the list has expired.

    Raises:
        TransportError: the service cannot be reached, or has no list.
    """
    message = await fetch(enrollment.url + TARGET_LIST_PATH, None, MAX_LIST_BYTES)
    # A slow disk must not stop the event loop, which times the probes.
    return await asyncio.to_thread(store.receive, message, clock())
