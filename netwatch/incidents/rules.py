"""How long things are held before they count; every rule is a length of time, never of bins."""

from dataclasses import dataclass
from datetime import timedelta

from netwatch.model.entity import EntityKind

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The lengths of time in an incident's life.

    Attributes:
        hold_country: a country must be low for so long before it is an incident.
        hold_network: the same for any narrower scope.
        group: losses of nested scopes that begin within it are one incident.
        stable: a level must be back for so long before the incident is over.
        reopen: a new loss within it continues the incident.
        milestone: the unit of the milestones 1, 3, 6, 12, 24 …
        update_every: at most one scheduled update in it.
    """

    hold_country: timedelta = timedelta(minutes=20)
    hold_network: timedelta = timedelta(minutes=30)
    group: timedelta = timedelta(hours=6)
    stable: timedelta = timedelta(hours=6)
    reopen: timedelta = timedelta(hours=2)
    milestone: timedelta = timedelta(hours=1)
    update_every: timedelta = timedelta(hours=1)

    def hold(self, kind: EntityKind) -> timedelta:
        """Return how long a scope of `kind` must be low before it is an incident."""
        return self.hold_country if kind is EntityKind.COUNTRY else self.hold_network
