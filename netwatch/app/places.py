"""The atlas of an observatory: what the configuration says, and what its targets imply."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from netwatch.config import Config
from netwatch.model.entities import Entity, EntityInfo, EntityKind, EntityTree
from netwatch.model.errors import StoreError


def make_entity_tree(config: Config) -> EntityTree:
    """Return the places of `[[place]]`, completed by those that targets name.

    A target's ASN belongs to its region, or to its country where it names none; a domain to
    the narrowest of them. What `[[place]]` says of an entity stands.

    Raises:
        InputError: an entity stands twice, or is its own ancestor.
    """
    places = {place.entity: place for place in config.places()}
    for target in config.target:
        parent: Entity | None = None
        for entity in target.entities():
            if entity not in places:
                places[entity] = EntityInfo(entity, name=_name(entity), parent=parent)
            parent = entity
    return EntityTree(places.values())


def _name(entity: Entity) -> str:
    """Return what an entity is called where nobody named it."""
    return f"AS{entity.code}" if entity.kind is EntityKind.ASN else entity.code


def write_places(folder: Path, places: Iterable[EntityInfo]) -> None:
    """Keep `places` beside the data, so that who reads the data knows names and parents.

    Raises:
        StoreError: the folder cannot be written.
    """
    draft = folder / "places.json.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(msgspec.json.encode(list(places)))
        draft.replace(folder / "places.json")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error
