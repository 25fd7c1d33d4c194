"""What a vantage probes: its own targets, and what its host lets it take of a list."""

from dataclasses import dataclass
from functools import cache

from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.http_client import fetch
from netwatch.agent.target_list import MAX_LIST_BYTES, TargetList
from netwatch.agent.target_list_store import TargetListStore
from netwatch.agent.target_policy import ListedTarget, SkippedTarget, select_targets
from netwatch.app.clock import now
from netwatch.app.vantage_files import list_path, membership_of, open_consent
from netwatch.config import Config
from netwatch.model.measurement import Target
from netwatch.plugins import load_plugin, plugin_names
from netwatch.wire.enrollment import TARGET_LIST_PATH


@dataclass(frozen=True, slots=True)
class TargetSelection:
    """What is probed and what is not.

    Attributes:
        own: what this machine's configuration names.
        taken: what is probed of the observatory's list.
        left: what is not, and why.
        listed: the list itself, None where there is none.
    """

    own: tuple[Target, ...]
    taken: tuple[ListedTarget, ...]
    left: tuple[SkippedTarget, ...]
    listed: TargetList | None

    @property
    def targets(self) -> tuple[Target, ...]:
        """All that is probed."""
        return (*self.own, *(one.target for one in self.taken))


def open_target_list_store(config: Config, *, key: bytes | None = None) -> TargetListStore:
    """Return the book that keeps the observatory's last good target list.

    Args:
        config: the configuration.
        key: the observatory's key; without, what enrollment told, or else the first one.
    """
    enrolled = membership_of(config)
    if key is None and enrolled is not None:
        key = bytes.fromhex(enrolled.targets_key)
    return TargetListStore(list_path(config), key=key)


def chosen_targets(config: Config) -> TargetSelection:
    """Return what this vantage probes; its own targets come first and stand."""
    listed = open_target_list_store(config).current()
    if listed is None:
        return TargetSelection(config.target, (), (), None)
    own = {target.id for target in config.target}
    offered = [one for one in listed.listed_targets() if one.target.id not in own]
    installed = set(plugin_names("probes"))
    asked = installed & {one.target.probe for one in offered}
    taken, left = select_targets(
        offered,
        open_consent(config).scope(),
        country=config.vantage.country,
        in_consent_text={name for name in asked if _is_in_consent_text(name)},
        high_risk_countries=listed.high_risk_countries,
    )
    missing = [one for one in taken if one.target.probe not in installed]
    left += [SkippedTarget(one, f"no probe {one.target.probe} is installed") for one in missing]
    kept = tuple(one for one in taken if one.target.probe in installed)
    return TargetSelection(config.target, kept, tuple(left), listed)


@cache
def _is_in_consent_text(probe: str) -> bool:
    return getattr(load_plugin("probes", probe), "in_consent_text", False) is True


def targets_of(config: Config) -> tuple[Target, ...]:
    """Return everything that this vantage probes."""
    return chosen_targets(config).targets


async def fetch_list(enrolled: Enrollment, book: TargetListStore) -> bool:
    """Ask the observatory for its target list over HTTP; tell whether there is a new one.

    Raises:
        LinkError: nobody answered, or there is no list.
    """
    message = await fetch(enrolled.url + TARGET_LIST_PATH, None, MAX_LIST_BYTES)
    return book.receive(message, now())
