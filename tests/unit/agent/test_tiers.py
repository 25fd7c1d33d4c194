"""What is taken of a list: what the host agreed to, and no more than his country allows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from netwatch.agent import consent as module
from netwatch.agent.consent import Consent
from netwatch.agent.tiers import CARE, CATEGORIES, Agreement, Offered, Tier, choose
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Target

NOW = datetime(2026, 1, 8, tzinfo=UTC)
OFFERED = [
    Offered(Target("root", "dns", "192.5.5.241")),
    Offered(Target("shop", "http", "shop.example.org"), Tier.POPULAR),
    Offered(Target("paper", "http", "news.example.org"), Tier.SENSITIVE, "NEWS"),
    Offered(Target("club", "http", "club.example.org"), Tier.SENSITIVE, "LGBT"),
    Offered(Target("hops", "trace", "192.5.5.241")),
]
ALL = Agreement(popular=True, categories=frozenset(CATEGORIES), kinds=frozenset({"trace"}))


def taken(agreement: Agreement, country: str = "DE", care: tuple[str, ...] = ()) -> list[str]:
    found, left = choose(OFFERED, agreement, country=country, care=care)
    assert len(found) + len(left) == len(OFFERED)
    assert all(one.reason for one in left)
    return [one.target.id for one in found]


def test_without_more_there_is_infrastructure_alone() -> None:
    assert taken(Agreement()) == ["root"]


def test_each_step_is_agreed_to_by_itself() -> None:
    assert taken(Agreement(popular=True)) == ["root", "shop"]
    assert taken(Agreement(categories=frozenset({"NEWS"}))) == ["root", "paper"]
    assert taken(Agreement(kinds=frozenset({"trace"}))) == ["root", "hops"]
    assert taken(ALL) == ["root", "shop", "paper", "club", "hops"]


@pytest.mark.parametrize("country", ["", *sorted(CARE)])
def test_where_it_may_be_dangerous_agreeing_changes_nothing(country: str) -> None:
    assert taken(ALL, country) == ["root", "hops"]


def test_a_list_adds_to_the_care_list_and_takes_nothing_away() -> None:
    assert taken(ALL, "DE", ("DE",)) == ["root", "hops"]
    assert taken(ALL, "IR", ()) == ["root", "hops"]


def test_why_a_target_is_left_out_says_what_would_change_it() -> None:
    _, left = choose(OFFERED, Agreement(), country="DE")
    reasons = {one.offered.target.id: one.reason for one in left}
    assert "consent grant --tier B" in reasons["shop"]
    assert "consent grant --category LGBT" in reasons["club"]
    assert "consent grant --kind trace" in reasons["hops"]


def test_what_was_agreed_to_is_kept_and_ends_with_a_new_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consent = Consent(tmp_path / "consent.json")
    with pytest.raises(ConfigError, match="first agree to the text"):
        consent.extend(popular=True)
    consent.grant(NOW)
    assert consent.agreement() == Agreement()
    consent.extend(popular=True)
    consent.extend(category="NEWS")
    consent.extend(kind="trace")
    assert consent.agreement() == Agreement(
        popular=True, categories=frozenset({"NEWS"}), kinds=frozenset({"trace"})
    )
    monkeypatch.setattr(module, "CONSENT_VERSION", 99)
    assert consent.agreement() == Agreement()
    consent.grant(NOW)
    assert consent.agreement() == Agreement(), "a new text is not agreed to in bulk"


def test_withdrawn_is_withdrawn_in_full(tmp_path: Path) -> None:
    consent = Consent(tmp_path / "consent.json")
    consent.grant(NOW)
    consent.extend(popular=True)
    consent.withdraw()
    assert consent.agreement() == Agreement()
    consent.grant(NOW)
    assert consent.agreement() == Agreement()
