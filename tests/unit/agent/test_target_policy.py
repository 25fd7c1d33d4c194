"""Selection of listed targets by the host's consent and country."""

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
LISTED = [
    ListedTarget(Target("root", "dns", "192.5.5.241")),
    ListedTarget(Target("shop", "http", "shop.example.org"), ConsentTier.POPULAR),
    ListedTarget(Target("paper", "http", "news.example.org"), ConsentTier.SENSITIVE, "NEWS"),
    ListedTarget(Target("club", "http", "club.example.org"), ConsentTier.SENSITIVE, "LGBT"),
    ListedTarget(Target("hops", "trace", "192.5.5.241")),
]
TEXT = {"dns", "http"}
ALL = ConsentScope(popular=True, categories=frozenset(CATEGORIES), probes=frozenset({"trace"}))


def selected(
    scope: ConsentScope, country: str = "DE", countries: tuple[str, ...] = ()
) -> list[str]:
    selected, skipped = select_targets(
        LISTED, scope, country=country, in_consent_text=TEXT, high_risk_countries=countries
    )
    assert len(selected) + len(skipped) == len(LISTED)
    assert all(one.reason for one in skipped)
    return [one.target.id for one in selected]


def test_without_more_consent_only_infrastructure_is_probed() -> None:
    assert selected(ConsentScope()) == ["root"]


def test_each_extension_of_consent_is_separate() -> None:
    assert selected(ConsentScope(popular=True)) == ["root", "shop"]
    assert selected(ConsentScope(categories=frozenset({"NEWS"}))) == ["root", "paper"]
    assert selected(ConsentScope(probes=frozenset({"trace"}))) == ["root", "hops"]
    assert selected(ALL) == ["root", "shop", "paper", "club", "hops"]


@pytest.mark.parametrize("country", ["", *sorted(HIGH_RISK_COUNTRIES)])
def test_in_high_risk_countries_consent_changes_nothing(country: str) -> None:
    assert selected(ALL, country) == ["root", "hops"]


def test_a_list_adds_high_risk_countries_and_removes_none() -> None:
    assert selected(ALL, "DE", ("DE",)) == ["root", "hops"]
    assert selected(ALL, "IR", ()) == ["root", "hops"]


def test_the_reason_for_a_skip_names_the_command_that_grants_it() -> None:
    _, skipped = select_targets(LISTED, ConsentScope(), country="DE", in_consent_text=TEXT)
    reasons = {one.listed.target.id: one.reason for one in skipped}
    assert "consent grant --tier B" in reasons["shop"]
    assert "consent grant --category LGBT" in reasons["club"]
    assert "consent grant --probe trace" in reasons["hops"]


def test_consent_is_stored_and_ends_with_a_new_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consent = Consent(tmp_path / "consent.json")
    with pytest.raises(ConfigError, match="first agree to the text"):
        consent.extend(popular=True)
    consent.grant(NOW)
    assert consent.scope() == ConsentScope()
    consent.extend(popular=True)
    consent.extend(category="NEWS")
    consent.extend(probe="trace")
    assert consent.scope() == ConsentScope(
        popular=True, categories=frozenset({"NEWS"}), probes=frozenset({"trace"})
    )
    monkeypatch.setattr(module, "CONSENT_VERSION", 99)
    assert consent.scope() == ConsentScope()
    consent.grant(NOW)
    assert consent.scope() == ConsentScope(), "a new text is not agreed to in bulk"


def test_revoked_consent_is_revoked_entirely(tmp_path: Path) -> None:
    consent = Consent(tmp_path / "consent.json")
    consent.grant(NOW)
    consent.extend(popular=True)
    consent.revoke()
    assert consent.scope() == ConsentScope()
    consent.grant(NOW)
    assert consent.scope() == ConsentScope()
