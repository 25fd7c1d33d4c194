"""A language is one file of templates."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.config import PublishConfig
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.errors import WordingError
from netwatch.model.incident import Incident, RevisionReason
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.publish.editorial_rules import check_post
from netwatch.publish.language import ENGLISH, TEMPLATES, Language, languages, load_language
from netwatch.publish.posts import compose_posts, post_kind

MakeIncident = Callable[..., Incident]
FRENCH = Path(__file__).parent / "languages"
POSTED = [
    RevisionReason.CONFIRMED,
    RevisionReason.MILESTONE,
    RevisionReason.PARTIALLY_RESTORED,
    RevisionReason.RELAPSED,
    RevisionReason.RESTORED,
    RevisionReason.RECURRING,
    RevisionReason.RECURRENCE_ENDED,
]
OUTAGES = [{"reason": reason} for reason in POSTED]
IN_WORDS = {
    "reason": RevisionReason.CONFIRMED,
    "percent": PublishedPercent(40.0, 10.0, 70.0, Precision.NONE),
}
SITES = [
    {
        "reason": reason,
        "kind": kind,
        "seen_from": "IR",
        "entity": Entity.parse("domain:example.org"),
    }
    for reason in (RevisionReason.CONFIRMED, RevisionReason.RESTORED)
    for kind in ("blocking", "throttling")
]
LABELS = "CONFIRMÉ|MISE À JOUR|RÉTABLISSEMENT PARTIEL|RÉTABLI"


@pytest.mark.parametrize("changes", [*OUTAGES, IN_WORDS, *SITES], ids=str)
def test_one_template_file_covers_every_kind_of_post(
    make_incident: MakeIncident, iran: EntityTree, changes: dict[str, object]
) -> None:
    incident = make_incident(**changes)
    config = PublishConfig(languages=("fr",), channels=("console",))
    [post] = compose_posts(incident, iran, config, drill=False, templates=FRENCH)
    assert (post.language, post.kind) == ("fr", post_kind(incident))
    assert re.match(rf"({LABELS}) · ", post.text)
    assert not re.search(r"\b(internet connectivity|networks|since|ordinary)\b", post.text)
    assert post.alternative.startswith("Courbe :")


@pytest.mark.parametrize("code", sorted(languages()))
@pytest.mark.parametrize("changes", [*OUTAGES, IN_WORDS, *SITES], ids=str)
def test_every_shipped_language_renders_every_kind_of_post(
    make_incident: MakeIncident, iran: EntityTree, changes: dict[str, object], code: str
) -> None:
    incident = make_incident(**changes)
    config = PublishConfig(languages=(code,), channels=("console",))
    [post] = compose_posts(incident, iran, config, drill=False)
    assert (post.language, post.kind) == (code, post_kind(incident))
    assert post.text.strip()


def test_names_and_months_come_from_the_language(
    make_incident: MakeIncident, iran: EntityTree
) -> None:
    config = PublishConfig(languages=("fr", "en"), channels=("console",))
    [post] = compose_posts(make_incident(), iran, config, drill=True, templates=FRENCH)
    first, second = post.text.splitlines()[:2]
    assert first == (
        "TEST · CONFIRMÉ · Iran : la connectivité Internet est à 7 % de son niveau habituel "
        "après 12 heures de coupures progressives."
    )
    assert second == (
        "11 réseaux sur 12 touchés. Début vers 16 nov. 20:00, heure locale (16:30 UTC)."
    )


def test_refused_words_are_those_of_the_language() -> None:
    french = Language("fr", FRENCH)
    check_post("MISE À JOUR · Iran : shut down", "Courbe", 2, language=french)
    with pytest.raises(WordingError, match="coupure ordonnée"):
        check_post("MISE À JOUR · Iran : coupure ordonnée", "Courbe", 3, language=french)
    with pytest.raises(WordingError, match="CONFIRMÉ"):
        check_post("CONFIRMÉ · Iran", "Courbe", 2, language=french)


def test_the_folder_is_the_list_of_languages(tmp_path: Path) -> None:
    (tmp_path / "xx.txt").write_text('{% set no_data = "zilch" %}', "utf-8")
    assert languages(tmp_path) == {"xx"}
    assert load_language("xx", tmp_path).text("no_data") == "zilch"
    assert load_language("yy", tmp_path) is ENGLISH


@pytest.mark.parametrize("code", sorted(languages()))
def test_every_shipped_language_defines_the_same_names(code: str) -> None:
    def names(code: str) -> set[str]:
        text = (TEMPLATES / f"{code}.txt").read_text("utf-8")
        return set(re.findall(r"{% (?:set|macro) (\w+)", text))

    assert names(code) == names("en")
