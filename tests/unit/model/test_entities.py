"""Entities and the tree that they form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.entities import Entity, EntityInfo, EntityKind, EntityTree
from netwatch.model.errors import InputError

IRAN, TEHRAN, CELL, SITE = (
    Entity.parse(text) for text in ("country:IR", "region:IR-23", "asn:44244", "domain:x.ir")
)
INFO = [
    EntityInfo(IRAN, "Iran", timezone="Asia/Tehran"),
    EntityInfo(TEHRAN, "Tehran", IRAN, 4.0),
    EntityInfo(CELL, "IranCell", TEHRAN, 2.0),
    EntityInfo(SITE, "x.ir", CELL),
]
ENTITIES = st.integers(1, 12).map(lambda number: Entity(EntityKind.ASN, str(number)))


@pytest.mark.parametrize(
    "text", ["country:IR", "region:IR-23", "region:IR-14.142", "asn:44244", "domain:x-y.example"]
)
def test_parse_and_str_are_inverse(text: str) -> None:
    assert str(Entity.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "IR", "country:", "country:ir", "country:IRN", "region:IR", "asn:0", "asn:AS1", "asn:-1",
     "asn:01", "domain:", "domain:a b", "planet:3", "country:IR\n", "Country:IR", "domain:a/b"],
)  # fmt: skip
def test_parse_refuses_invalid_text_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as refused:
        Entity.parse(text)
    assert len(str(refused.value).splitlines()) == 1


def test_parse_error_truncates_long_text() -> None:
    with pytest.raises(InputError) as refused:
        Entity.parse("x" * 5000)
    assert len(str(refused.value)) < 200


def test_kinds_are_ordered_from_widest_to_narrowest() -> None:
    assert list(EntityKind) == ["country", "region", "asn", "domain"]


@given(st.text(max_size=50))
def test_parse_accepts_only_what_str_returns(text: str) -> None:
    try:
        entity = Entity.parse(text)
    except InputError:
        return
    assert str(entity) == text
    assert Entity.parse(str(entity)) == entity


def test_ancestors_are_ordered_nearest_first() -> None:
    tree = EntityTree(INFO)
    assert tree.ancestors(SITE) == (CELL, TEHRAN, IRAN)
    assert tree.ancestors(IRAN) == ()
    assert tree.country(SITE) == IRAN
    assert tree.timezone(SITE) == "Asia/Tehran"
    assert list(tree) == INFO


def test_networks_are_the_leaves_without_domains() -> None:
    tree = EntityTree(INFO)
    assert tree.leaf_weights(IRAN) == {CELL: 2.0}
    assert tree.leaf_weights(CELL) == {}
    assert set(tree.parents()) == {IRAN, TEHRAN}


def test_a_region_without_networks_is_a_leaf() -> None:
    assert EntityTree(INFO[:2]).leaf_weights(IRAN) == {TEHRAN: 4.0}


def test_leaves_of_weight_zero_are_excluded() -> None:
    tree = EntityTree([INFO[0], EntityInfo(TEHRAN, "Tehran", IRAN, 0.0)])
    assert tree.leaf_weights(IRAN) == {}
    assert tree.parents() == []


def test_an_undescribed_entity_gets_a_default_description() -> None:
    tree = EntityTree()
    assert tree.info(TEHRAN) == EntityInfo(TEHRAN, "IR-23", IRAN)
    assert tree.info(CELL).name == "AS44244"
    assert tree.country(TEHRAN) == IRAN
    assert tree.country(CELL) is None
    assert tree.timezone(TEHRAN) == "UTC"
    assert tree.leaf_weights(IRAN) == {}


def test_a_duplicate_entity_is_refused() -> None:
    with pytest.raises(InputError, match="entity country:IR: occurs twice"):
        EntityTree([INFO[0], INFO[0]])


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_cycle_is_refused(length: int) -> None:
    ring = [Entity(EntityKind.ASN, str(number + 1)) for number in range(length)]
    info = [EntityInfo(one, "x", ring[(number + 1) % length]) for number, one in enumerate(ring)]
    with pytest.raises(InputError, match="is its own ancestor"):
        EntityTree(info)


def test_a_country_inside_its_own_region_is_refused() -> None:
    with pytest.raises(InputError, match="entity country:IR: is its own ancestor"):
        EntityTree([EntityInfo(IRAN, "Iran", TEHRAN)])


@given(st.dictionaries(ENTITIES, st.one_of(st.none(), ENTITIES), max_size=12))
def test_every_accepted_tree_can_be_walked(parents: dict[Entity, Entity | None]) -> None:
    try:
        tree = EntityTree([EntityInfo(entity, "x", parent) for entity, parent in parents.items()])
    except InputError:
        return
    for entity in parents:
        assert entity not in tree.ancestors(entity)
        below = tree.leaf_weights(entity)
        assert all(entity in tree.ancestors(network) for network in below)
        assert all(not tree.leaf_weights(network) for network in below)
