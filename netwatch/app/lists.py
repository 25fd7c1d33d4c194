"""What a vantage probes: its own targets, and what its host lets it take of a list."""

from dataclasses import dataclass

from netwatch.agent.enrol import Enrolled
from netwatch.agent.fetching import exchange
from netwatch.agent.target_book import TargetBook
from netwatch.agent.target_list import LARGEST_LIST, TargetList
from netwatch.agent.tiers import Left, Offered, choose
from netwatch.app.clock import now
from netwatch.app.home import list_path, membership_of, open_consent
from netwatch.config import Config
from netwatch.model.measurement import Target
from netwatch.plugins import plugin_names
from netwatch.wire.enrolment import TARGETS_PATH

__all__ = ["Chosen", "chosen_targets", "fetch_list", "open_target_book", "targets_of"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is probed and what is not.

    Attributes:
        own: what this machine's configuration names.
        taken: what is probed of the observatory's list.
        left: what is not, and why.
        listed: the list itself, None where there is none.
    """

    own: tuple[Target, ...]
    taken: tuple[Offered, ...]
    left: tuple[Left, ...]
    listed: TargetList | None

    @property
    def targets(self) -> tuple[Target, ...]:
        """All that is probed."""
        return (*self.own, *(one.target for one in self.taken))


def open_target_book(config: Config, *, key: bytes | None = None) -> TargetBook:
    """Return the book that keeps the observatory's last good target list.

    Args:
        config: the configuration.
        key: the observatory's key; without, what enrolment told, or else the first one.
    """
    enrolled = membership_of(config)
    if key is None and enrolled is not None:
        key = bytes.fromhex(enrolled.targets_key)
    return TargetBook(list_path(config), key=key)


def chosen_targets(config: Config) -> Chosen:
    """Return what this vantage probes; its own targets come first and stand."""
    listed = open_target_book(config).current()
    if listed is None:
        return Chosen(config.target, (), (), None)
    own = {target.id for target in config.target}
    taken, left = choose(
        [one for one in listed.offered() if one.target.id not in own],
        open_consent(config).agreement(),
        country=config.vantage.country,
        care=listed.care,
    )
    installed = set(plugin_names("probes"))
    missing = [one for one in taken if one.target.probe not in installed]
    left += [Left(one, f"no probe {one.target.probe} is installed") for one in missing]
    kept = tuple(one for one in taken if one.target.probe in installed)
    return Chosen(config.target, kept, tuple(left), listed)


def targets_of(config: Config) -> tuple[Target, ...]:
    """Return everything that this vantage probes."""
    return chosen_targets(config).targets


async def fetch_list(enrolled: Enrolled, book: TargetBook) -> bool:
    """Ask the observatory for its target list over HTTP; tell whether there is a new one.

    Raises:
        LinkError: nobody answered, or there is no list.
    """
    message = await exchange(enrolled.url + TARGETS_PATH, None, LARGEST_LIST)
    return book.hear(message, now())
