"""Names of entities as posts and pages show them."""

from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.text import clean_line
from netwatch.publish.language import ENGLISH, Language


def place_name(entity: Entity, tree: EntityTree, language: Language = ENGLISH) -> str:
    """Return the name of `entity`.

    A country has its CLDR name, unless the language is English and the tree names it. A name that
    shows nothing is the entity's code.
    """
    given = clean_line(tree.info(entity).name) or entity.code
    if entity.kind is not EntityKind.COUNTRY:
        return given
    if language.code == "en" and given != entity.code:
        return given
    return language.country_name(entity.code) or given


def full_name(entity: Entity, tree: EntityTree, language: Language = ENGLISH) -> str:
    """Return the name of `entity` with its country, such as "Tehran, Iran"."""
    name = place_name(entity, tree, language)
    if entity.kind is EntityKind.ASN and name != f"AS{entity.code}":
        name = f"{name} (AS{entity.code})"
    country = tree.country(entity)
    if country is None or country == entity:
        return name
    return f"{name}, {place_name(country, tree, language)}"


def origin_name(code: str, tree: EntityTree, language: Language = ENGLISH) -> str:
    """Return the name of where measurements come from: a country's name, or `code` itself."""
    country = Entity(EntityKind.COUNTRY, code)
    is_country = len(code) == 2 and code.isalpha()
    return place_name(country, tree, language) if is_country else code


def hashtag(entity: Entity, tree: EntityTree, language: Language = ENGLISH) -> str:
    """Return the tag of the country of `entity`, "#Iran"; empty if the country is unknown."""
    country = tree.country(entity)
    if country is None:
        return ""
    letters = "".join(filter(str.isalnum, place_name(country, tree, language)))
    return f"#{letters}" if letters else ""
