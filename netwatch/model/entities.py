"""Entities (countries, regions, networks, domains) and the tree that they form."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from netwatch.model.errors import InputError


class EntityKind(StrEnum):
    """Kind of an entity, from the widest scope to the narrowest."""

    COUNTRY = "country"
    REGION = "region"
    ASN = "asn"
    DOMAIN = "domain"


_CODES = {
    EntityKind.COUNTRY: re.compile(r"[A-Z]{2}"),
    EntityKind.REGION: re.compile(r"[A-Z]{2}-[A-Za-z0-9.]{1,12}"),
    EntityKind.ASN: re.compile(r"[1-9][0-9]{0,9}"),
    EntityKind.DOMAIN: re.compile(r"[A-Za-z0-9._-]{1,253}"),
}


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A country, region, network or domain, written `kind:code`: `country:IR`, `asn:44244`."""

    kind: EntityKind
    code: str

    @classmethod
    def parse(cls, text: str) -> "Entity":
        """Return the entity `kind:code`; raises InputError for another kind or form of code."""
        kind, colon, code = text.partition(":")
        if not colon or kind not in set(EntityKind):
            kinds = ", ".join(EntityKind)
            raise InputError(f"entity {text[:80]!r}: want kind:code with a kind of {kinds}")
        parsed = EntityKind(kind)
        if not _CODES[parsed].fullmatch(code):
            raise InputError(f"entity {text[:80]!r}: not the form of a {kind} code")
        return cls(parsed, code)

    def __str__(self) -> str:
        return f"{self.kind}:{self.code}"


@dataclass(frozen=True, slots=True)
class EntityInfo:
    """Description of an entity.

    Attributes:
        parent: the entity that contains it, None for a root.
        weight: its share of its parent's level, in any unit that siblings share
            (users, counties, /24s). Zero leaves it out of the parent's level.
        timezone: IANA time zone for local times; empty inherits the parent's, then UTC.
    """

    entity: Entity
    name: str
    parent: Entity | None = None
    weight: float = 1.0
    timezone: str = ""


class EntityTree:
    """Containment of entities. Leaves other than domains are called networks.

    An entity without a description has its code as its name. A region without one belongs to
    the country that its code begins with; any other entity is a root.

    Raises:
        InputError: an entity occurs twice or is its own ancestor.
    """

    def __init__(self, entities: Iterable[EntityInfo] = ()) -> None:
        self._info: dict[Entity, EntityInfo] = {}
        self._children: dict[Entity, list[Entity]] = {}
        self._ancestors: dict[Entity, tuple[Entity, ...]] = {}
        for info in entities:
            if info.entity in self._info:
                raise InputError(f"entity {info.entity}: occurs twice")
            self._info[info.entity] = info
            if info.parent is not None:
                self._children.setdefault(info.parent, []).append(info.entity)
        for entity in self._info:
            if entity in self.ancestors(entity):
                raise InputError(f"entity {entity}: is its own ancestor")

    def __iter__(self) -> Iterator[EntityInfo]:
        return iter(self._info.values())

    def info(self, entity: Entity) -> EntityInfo:
        """Return the description of `entity`, or a default one."""
        known = self._info.get(entity)
        if known is not None:
            return known
        name = f"AS{entity.code}" if entity.kind is EntityKind.ASN else entity.code
        parent = None
        if entity.kind is EntityKind.REGION:
            parent = Entity(EntityKind.COUNTRY, entity.code[:2])
        return EntityInfo(entity=entity, name=name, parent=parent)

    def parents(self) -> list[Entity]:
        """Return the entities that contain networks."""
        return [entity for entity in self._children if self.leaf_weights(entity)]

    def ancestors(self, entity: Entity) -> tuple[Entity, ...]:
        """Return the entities that contain `entity`, nearest first."""
        known = self._ancestors.get(entity)
        if known is None:
            chain = []
            parent = self.info(entity).parent
            while parent is not None and parent not in chain:
                chain.append(parent)
                parent = self.info(parent).parent
            known = self._ancestors[entity] = tuple(chain)
        return known

    def country(self, entity: Entity) -> Entity | None:
        """Return the country that contains or is `entity`; None if unknown."""
        for scope in (entity, *self.ancestors(entity)):
            if scope.kind is EntityKind.COUNTRY:
                return scope
        return None

    def country_code(self, entity: Entity) -> str:
        """Return the code of the country that contains or is `entity`; empty if unknown."""
        country = self.country(entity)
        return country.code if country else ""

    def leaf_weights(self, entity: Entity) -> dict[Entity, float]:
        """Return the networks in `entity` with their weights, without those of weight 0.

        Networks are the leaves of the tree, domains excluded: ASNs where they are known,
        otherwise regions. The result is empty for an entity that contains none.
        """
        weights: dict[Entity, float] = {}
        for child in self._children.get(entity, ()):
            if child.kind is EntityKind.DOMAIN:
                continue
            below = self.leaf_weights(child)
            own = self._info[child].weight
            if below:
                weights |= below
            elif own > 0:
                weights[child] = own
        return weights

    def timezone(self, entity: Entity) -> str:
        """Return the IANA time zone of `entity`, else of its nearest ancestor, else UTC."""
        for scope in (entity, *self.ancestors(entity)):
            timezone = self.info(scope).timezone
            if timezone:
                return timezone
        return "UTC"
