"""Atlas: which entity is a part of which, and with what weight."""

from collections.abc import Iterable, Iterator

from netwatch.model.entity import Entity, EntityInfo, EntityKind
from netwatch.model.errors import InputError


class EntityTree:
    """The places of an observatory as trees: domains aside, leaves are called networks.

    An entity that nobody described is still usable: its name is its code, a region belongs
    to the country that its code begins with, and anything else stands alone.
    """

    def __init__(self, places: Iterable[EntityInfo] = ()) -> None:
        """Index `places`.

        Raises:
            InputError: an entity stands twice, or is its own ancestor.
        """
        self._places: dict[Entity, EntityInfo] = {}
        self._children: dict[Entity, list[Entity]] = {}
        self._above: dict[Entity, tuple[Entity, ...]] = {}
        for place in places:
            if place.entity in self._places:
                raise InputError(f"place {place.entity}: stands twice")
            self._places[place.entity] = place
            if place.parent is not None:
                self._children.setdefault(place.parent, []).append(place.entity)
        for entity in self._places:
            self._refuse_cycle(entity)

    def __iter__(self) -> Iterator[EntityInfo]:
        """Yield every described place, in the order given."""
        return iter(self._places.values())

    def place(self, entity: Entity) -> EntityInfo:
        """Return what is known of `entity`, made up from its code where nobody described it."""
        found = self._places.get(entity)
        if found is not None:
            return found
        name = f"AS{entity.code}" if entity.kind is EntityKind.ASN else entity.code
        parent = None
        if entity.kind is EntityKind.REGION:
            parent = Entity(EntityKind.COUNTRY, entity.code[:2])
        return EntityInfo(entity=entity, name=name, parent=parent)

    def parents(self) -> list[Entity]:
        """Return the entities that have networks below them."""
        return [entity for entity in self._children if self.networks(entity)]

    def ancestors(self, entity: Entity) -> tuple[Entity, ...]:
        """Return what `entity` is a part of, nearest first."""
        known = self._above.get(entity)
        if known is None:
            found = []
            parent = self.place(entity).parent
            while parent is not None:
                found.append(parent)
                parent = self.place(parent).parent
            known = self._above[entity] = tuple(found)
        return known

    def country(self, entity: Entity) -> Entity | None:
        """Return the country that holds `entity`, itself included; None where unknown."""
        for scope in (entity, *self.ancestors(entity)):
            if scope.kind is EntityKind.COUNTRY:
                return scope
        return None

    def networks(self, entity: Entity) -> dict[Entity, float]:
        """Return the networks below `entity` with their weights, those of weight 0 left out.

        Networks are the leaves of the tree, domains aside: ASNs where they are known,
        else regions. An entity without any below it has none.
        """
        found: dict[Entity, float] = {}
        for child in self._children.get(entity, ()):
            if child.kind is EntityKind.DOMAIN:
                continue
            below = self.networks(child)
            place = self._places[child]
            if below:
                found |= below
            elif place.weight > 0:
                found[child] = place.weight
        return found

    def zone(self, entity: Entity) -> str:
        """Return the IANA time zone of `entity`, its ancestors' where it has none, else UTC."""
        for scope in (entity, *self.ancestors(entity)):
            zone = self.place(scope).zone
            if zone:
                return zone
        return "UTC"

    def _refuse_cycle(self, entity: Entity) -> None:
        """Raise InputError when following parents from `entity` leads back to it."""
        seen = {entity}
        parent = self._places[entity].parent
        while parent is not None:
            if parent in seen:
                raise InputError(f"place {entity}: is its own ancestor")
            seen.add(parent)
            known = self._places.get(parent)
            parent = known.parent if known else None
