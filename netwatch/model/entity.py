"""Entities: the countries, regions, networks and domains that levels are about."""

import re
from dataclasses import dataclass
from enum import StrEnum

from netwatch.model.errors import InputError


class EntityKind(StrEnum):
    """What an entity is; the order is from the widest scope to the narrowest."""

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
    """One thing whose level is judged, written `kind:code`: `country:IR`, `asn:44244`."""

    kind: EntityKind
    code: str

    @classmethod
    def parse(cls, text: str) -> "Entity":
        """Return the entity that `kind:code` names.

        Raises:
            InputError: the kind is unknown or the code has not the kind's form.
        """
        kind, colon, code = text.partition(":")
        if not colon or kind not in set(EntityKind):
            kinds = ", ".join(EntityKind)
            raise InputError(f"entity {text[:80]!r}: want kind:code with a kind of {kinds}")
        found = EntityKind(kind)
        if not _CODES[found].fullmatch(code):
            raise InputError(f"entity {text[:80]!r}: not the form of a {kind} code")
        return cls(found, code)

    def __str__(self) -> str:
        return f"{self.kind}:{self.code}"


@dataclass(frozen=True, slots=True)
class EntityInfo:
    """What is known of an entity besides its measurements.

    Attributes:
        entity: the entity.
        name: what people call it, in English.
        parent: the entity that it is a part of, None for a root.
        weight: its share in its parent's level, in any unit that siblings share
            (users, counties, /24s). Zero leaves it out of the parent's level.
        zone: IANA time zone for local times; empty takes the parent's, then UTC.
    """

    entity: Entity
    name: str
    parent: Entity | None = None
    weight: float = 1.0
    zone: str = ""
