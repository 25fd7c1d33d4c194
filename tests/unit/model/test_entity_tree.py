"""Which entity is a part of which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.entity import Entity, EntityInfo, EntityKind
from netwatch.model.entity_tree import EntityTree
from netwatch.model.errors import InputError

IRAN, TEHRAN, CELL, SITE = (
    Entity.parse(text) for text in ("country:IR", "region:IR-23", "asn:44244", "domain:x.ir")
)
PLACES = [
    EntityInfo(IRAN, "Iran", zone="Asia/Tehran"),
    EntityInfo(TEHRAN, "Tehran", IRAN, 4.0),
    EntityInfo(CELL, "IranCell", TEHRAN, 2.0),
    EntityInfo(SITE, "x.ir", CELL),
]


def test_ancestors_come_nearest_first() -> None:
    atlas = EntityTree(PLACES)
    assert atlas.ancestors(SITE) == (CELL, TEHRAN, IRAN)
    assert atlas.ancestors(IRAN) == ()
    assert atlas.country(SITE) == IRAN
    assert atlas.zone(SITE) == "Asia/Tehran"
    assert list(atlas) == PLACES


def test_networks_are_the_leaves_domains_aside() -> None:
    atlas = EntityTree(PLACES)
    assert atlas.networks(IRAN) == {CELL: 2.0}
    assert atlas.networks(CELL) == {}
    assert set(atlas.parents()) == {IRAN, TEHRAN}


def test_a_region_without_networks_stands_for_itself() -> None:
    assert EntityTree(PLACES[:2]).networks(IRAN) == {TEHRAN: 4.0}


def test_weight_zero_is_left_out() -> None:
    atlas = EntityTree([PLACES[0], EntityInfo(TEHRAN, "Tehran", IRAN, 0.0)])
    assert atlas.networks(IRAN) == {}
    assert atlas.parents() == []


def test_what_nobody_described_is_made_up_from_its_code() -> None:
    atlas = EntityTree()
    assert atlas.place(TEHRAN) == EntityInfo(TEHRAN, "IR-23", IRAN)
    assert atlas.place(CELL).name == "AS44244"
    assert atlas.country(TEHRAN) == IRAN
    assert atlas.country(CELL) is None
    assert atlas.zone(TEHRAN) == "UTC"
    assert atlas.networks(IRAN) == {}


def test_nothing_stands_twice() -> None:
    with pytest.raises(InputError, match="place country:IR: stands twice"):
        EntityTree([PLACES[0], PLACES[0]])


@pytest.mark.parametrize("length", [1, 2, 3])
def test_nothing_is_its_own_ancestor(length: int) -> None:
    ring = [Entity(EntityKind.ASN, str(number + 1)) for number in range(length)]
    places = [EntityInfo(one, "x", ring[(number + 1) % length]) for number, one in enumerate(ring)]
    with pytest.raises(InputError, match="is its own ancestor"):
        EntityTree(places)


ENTITIES = st.integers(1, 12).map(lambda number: Entity(EntityKind.ASN, str(number)))


@given(st.dictionaries(ENTITIES, st.one_of(st.none(), ENTITIES), max_size=12))
def test_any_atlas_that_is_made_can_be_walked(parents: dict[Entity, Entity | None]) -> None:
    try:
        atlas = EntityTree([EntityInfo(entity, "x", parent) for entity, parent in parents.items()])
    except InputError:
        return
    for entity in parents:
        assert entity not in atlas.ancestors(entity)
        below = atlas.networks(entity)
        assert all(entity in atlas.ancestors(network) for network in below)
        assert all(not atlas.networks(network) for network in below)
