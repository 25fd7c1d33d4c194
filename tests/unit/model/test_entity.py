"""Names of countries, regions, networks and domains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.entity import Entity, EntityKind
from netwatch.model.errors import InputError


@pytest.mark.parametrize(
    "text", ["country:IR", "region:IR-23", "region:IR-14.142", "asn:44244", "domain:x-y.example"]
)
def test_a_name_is_read_and_written_the_same(text: str) -> None:
    assert str(Entity.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "IR", "country:", "country:ir", "country:IRN", "region:IR", "asn:0", "asn:AS1", "asn:-1",
     "asn:01", "domain:", "domain:a b", "planet:3", "country:IR\n", "Country:IR", "domain:a/b"],
)  # fmt: skip
def test_what_is_no_name_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as refused:
        Entity.parse(text)
    assert len(str(refused.value).splitlines()) == 1


def test_a_long_name_is_not_repeated_at_length() -> None:
    with pytest.raises(InputError) as refused:
        Entity.parse("x" * 5000)
    assert len(str(refused.value)) < 200


def test_kinds_stand_from_the_widest_to_the_narrowest() -> None:
    assert list(EntityKind) == ["country", "region", "asn", "domain"]


@given(st.text(max_size=50))
def test_whatever_is_read_is_written_the_same(text: str) -> None:
    try:
        entity = Entity.parse(text)
    except InputError:
        return
    assert str(entity) == text
    assert Entity.parse(str(entity)) == entity
