"""What is taken of a list: what the host agreed to, and no more than his country allows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from netwatch.agent import consent as module
from netwatch.agent.consent import Consent
from netwatch.agent.target_policy import (
    CATEGORIES,
    HIGH_RISK_COUNTRIES,
    ConsentScope,
    ConsentTier,
    ListedTarget,
    select_targets,
)
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Target

NOW = datetime(2026, 1, 8, tzinfo=UTC)
OFFERED = [
    ListedTarget(Target("root", "dns", "192.5.5.241")),
    ListedTarget(Target("shop", "http", "shop.example.org"), ConsentTier.POPULAR),
    ListedTarget(Target("paper", "http", "news.example.org"), ConsentTier.SENSITIVE, "NEWS"),
    ListedTarget(Target("club", "http", "club.example.org"), ConsentTier.SENSITIVE, "LGBT"),
    ListedTarget(Target("hops", "trace", "192.5.5.241")),
]
TEXT = {"dns", "http"}
ALL = ConsentScope(popular=True, categories=frozenset(CATEGORIES), probes=frozenset({"trace"}))


def taken(scope: ConsentScope, country: str = "DE", care: tuple[str, ...] = ()) -> list[str]:
    found, left = select_targets(
        OFFERED, scope, country=country, in_consent_text=TEXT, high_risk_countries=care
    )
    assert len(found) + len(left) == len(OFFERED)
    assert all(one.reason for one in left)
    return [one.target.id for one in found]


def test_without_more_there_is_infrastructure_alone() -> None:
    assert taken(ConsentScope()) == ["root"]


def test_each_step_is_agreed_to_by_itself() -> None:
    assert taken(ConsentScope(popular=True)) == ["root", "shop"]
    assert taken(ConsentScope(categories=frozenset({"NEWS"}))) == ["root", "paper"]
    assert taken(ConsentScope(probes=frozenset({"trace"}))) == ["root", "hops"]
    assert taken(ALL) == ["root", "shop", "paper", "club", "hops"]


@pytest.mark.parametrize("country", ["", *sorted(HIGH_RISK_COUNTRIES)])
def test_where_it_may_be_dangerous_agreeing_changes_nothing(country: str) -> None:
    assert taken(ALL, country) == ["root", "hops"]


def test_a_list_adds_to_the_care_list_and_takes_nothing_away() -> None:
    assert taken(ALL, "DE", ("DE",)) == ["root", "hops"]
    assert taken(ALL, "IR", ()) == ["root", "hops"]


def test_why_a_target_is_left_out_says_what_would_change_it() -> None:
    _, left = select_targets(OFFERED, ConsentScope(), country="DE", in_consent_text=TEXT)
    reasons = {one.listed.target.id: one.reason for one in left}
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
    assert consent.scope() == ConsentScope()
    consent.extend(popular=True)
    consent.extend(category="NEWS")
    consent.extend(kind="trace")
    assert consent.scope() == ConsentScope(
        popular=True, categories=frozenset({"NEWS"}), probes=frozenset({"trace"})
    )
    monkeypatch.setattr(module, "CONSENT_VERSION", 99)
    assert consent.scope() == ConsentScope()
    consent.grant(NOW)
    assert consent.scope() == ConsentScope(), "a new text is not agreed to in bulk"


def test_withdrawn_is_withdrawn_in_full(tmp_path: Path) -> None:
    consent = Consent(tmp_path / "consent.json")
    consent.grant(NOW)
    consent.extend(popular=True)
    consent.revoke()
    assert consent.scope() == ConsentScope()
    consent.grant(NOW)
    assert consent.scope() == ConsentScope()
