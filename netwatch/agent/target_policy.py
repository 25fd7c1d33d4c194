"""Which targets of a list this machine probes, given its host's consent and its country.

- Tier A: infrastructure (root and ccTLD name servers, exchanges, the observatory's own hosts);
- Tier B: popular sites that are unproblematic to contact;
- Tier C: sites of sensitive categories, with consent to each category.

In a high-risk country only tier A is probed, whatever the consent.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from netwatch.model.measurement import Target

_HIGH_RISK = (
    "AE AF AZ BH BI BY CN CU DJ DZ EG ER ET GQ IR IQ JO KH KP KZ LA LY MM NI OM PK PS QA RU RW"
    " SA SD SO SS SY TD TH TJ TM TR UG UZ VE VN YE ZW"
)
_CATEGORIES = (
    "ALDR ANON COMM COMT CTRL CULTR DATE ECON ENV FILE GAME GMB GOVT GRP HACK HATE HOST HUMR IGO"
    " LGBT MILX MISC MMED NEWS POLR PORN PROV PUBH REL SRCH XED"
)
HIGH_RISK_COUNTRIES = frozenset(_HIGH_RISK.split())
"""Countries in which probing a site may endanger its host. This is the authors' cautious judgement,
not a published rating, and has not been checked against one; it is surely incomplete. Operators
know their volunteers' countries better and add to it with `high_risk_countries` in the signed list;
nothing removes a country. When in doubt, add it."""
CATEGORIES = frozenset(_CATEGORIES.split())
"""Category codes of the Citizen Lab's test lists (github.com/citizenlab/test-lists). A list with
any other, such as malware, is refused."""


class ConsentTier(StrEnum):
    """How much consent a target needs."""

    INFRASTRUCTURE = "A"
    POPULAR = "B"
    SENSITIVE = "C"


@dataclass(frozen=True, slots=True)
class ListedTarget:
    """A target of a list: its tier, and its category in tier C."""

    target: Target
    tier: ConsentTier = ConsentTier.INFRASTRUCTURE
    category: str = ""


@dataclass(frozen=True, slots=True)
class ConsentScope:
    """What a host has agreed to beyond the consent text: tier B, categories of C, more probes."""

    popular: bool = False
    categories: frozenset[str] = frozenset()
    probes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SkippedTarget:
    """A listed target that is not probed, and the reason."""

    listed: ListedTarget
    reason: str


def select_targets(
    listed: Collection[ListedTarget],
    scope: ConsentScope,
    *,
    country: str,
    in_consent_text: Collection[str],
    high_risk_countries: Collection[str] = (),
) -> tuple[list[ListedTarget], list[SkippedTarget]]:
    """Return the listed targets that are probed, and those that are not.

    An unknown country (empty) counts as high-risk, as do `high_risk_countries`, in addition to
    `HIGH_RISK_COUNTRIES`. `in_consent_text` are the probes that the consent text covers.
    """
    is_high_risk = not country or country in {*HIGH_RISK_COUNTRIES, *high_risk_countries}
    probes = {*in_consent_text, *scope.probes}
    selected: list[ListedTarget] = []
    skipped: list[SkippedTarget] = []
    for one in listed:
        reason = _skip_reason(one, scope, probes, is_high_risk=is_high_risk)
        if reason:
            skipped.append(SkippedTarget(one, reason))
        else:
            selected.append(one)
    return selected, skipped


def _skip_reason(
    one: ListedTarget, scope: ConsentScope, probes: Collection[str], *, is_high_risk: bool
) -> str:
    grant = "not agreed to; run: netwatch agent consent grant"
    if is_high_risk and one.tier is not ConsentTier.INFRASTRUCTURE:
        return "only infrastructure is probed in this country"
    if one.tier is ConsentTier.POPULAR and not scope.popular:
        return f"tier B was {grant} --tier B"
    if one.tier is ConsentTier.SENSITIVE and one.category not in scope.categories:
        return f"category {one.category} was {grant} --category {one.category}"
    if one.target.probe not in probes:
        return f"probe {one.target.probe} was {grant} --probe {one.target.probe}"
    return ""
