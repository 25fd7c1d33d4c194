"""What people call places, in the language of a post or a page."""

import unicodedata

from babel import Locale, UnknownLocaleError

from netwatch.model.entities import Entity, EntityKind, EntityTree


def place_name(entity: Entity, places: EntityTree, *, language: str = "en") -> str:
    """Return the name of `entity`: in English its place's, else the language's own if known."""
    given = clean_name(places.info(entity).name)
    if entity.kind is not EntityKind.COUNTRY:
        return given
    if language == "en" and given != entity.code:
        return given
    try:
        known = Locale.parse(language).territories.get(entity.code)
    except (UnknownLocaleError, ValueError):
        known = None
    return str(known) if known else given


def full_name(entity: Entity, places: EntityTree, *, language: str = "en") -> str:
    """Return the name of `entity` with its country: "Tehran, Iran"; a country's is its own."""
    name = place_name(entity, places, language=language)
    if entity.kind is EntityKind.ASN and name != f"AS{entity.code}":
        name = f"{name} (AS{entity.code})"
    country = places.country(entity)
    if country is None or country == entity:
        return name
    return f"{name}, {place_name(country, places, language=language)}"


def origin_name(code: str, places: EntityTree, *, language: str = "en") -> str:
    """Return what a place that measurements come from is called: "Iran", "AS44244", or ""."""
    country = Entity(EntityKind.COUNTRY, code)
    is_country = len(code) == 2 and code.isalpha()
    return place_name(country, places, language=language) if is_country else code


def hashtag(entity: Entity, places: EntityTree, *, language: str = "en") -> str:
    """Return the tag of the country of `entity`, "#Iran"; empty where no country is known."""
    country = places.country(entity)
    if country is None:
        return ""
    name = place_name(country, places, language=language)
    letters = "".join(character for character in name if character.isalnum())
    return f"#{letters}" if letters else ""


def clean_name(name: str) -> str:
    """Return `name` on one line, without characters that steer a terminal or turn text round.

    Unicode's control characters and format characters (general category C) go, but for the
    zero-width joiners that Persian and Indic names are written with.
    """
    joiners = "\u200c\u200d"
    kept = (
        character
        if character in joiners or not unicodedata.category(character).startswith("C")
        else " "
        for character in name
    )
    return " ".join("".join(kept).split())
