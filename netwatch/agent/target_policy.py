"""What of a target list this machine probes: by tier, as far as its host has agreed.

- A: infrastructure (root and ccTLD name servers, exchanges, an observatory's own hosts);
- B: popular sites that nobody minds;
- C: sites of sensitive categories, each category agreed to by itself.

In a country on the care list there is A and nothing else, whatever was agreed to.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from netwatch.model.measurement import Target

_CARE = (
    "AE AF AZ BH BI BY CN CU DJ DZ EG ER ET GQ IR IQ JO KH KP KZ LA LY MM NI OM PK PS QA RU RW"
    " SA SD SO SS SY TD TH TJ TM TR UG UZ VE VN YE ZW"
)
_CATEGORIES = (
    "ALDR ANON COMM COMT CTRL CULTR DATE ECON ENV FILE GAME GMB GOVT GRP HACK HATE HOST HUMR IGO"
    " LGBT MILX MISC MMED NEWS POLR PORN PROV PUBH REL SRCH XED"
)
HIGH_RISK_COUNTRIES = frozenset(_CARE.split())
"""Countries in which probing a site may bring its host into trouble. This is the cautious
judgement of those who write netwatch, taken from no published rating, and nobody has checked it
against one: it surely leaves out places that belong here. Whoever runs an observatory knows his
volunteers' countries better and extends it, with `care` in the signed list; nothing takes a
country away. When in doubt, add it."""
CATEGORIES = frozenset(_CATEGORIES.split())
"""Category codes of the Citizen Lab's test lists (github.com/citizenlab/test-lists); a list that
names another, such as malware, is refused as a whole."""


class ConsentTier(StrEnum):
    """How harmless a target is."""

    INFRASTRUCTURE = "A"
    POPULAR = "B"
    SENSITIVE = "C"


@dataclass(frozen=True, slots=True)
class ListedTarget:
    """A target of a list: its tier, and the category where that is C."""

    target: Target
    tier: ConsentTier = ConsentTier.INFRASTRUCTURE
    category: str = ""


@dataclass(frozen=True, slots=True)
class ConsentScope:
    """What a host has agreed to, beyond the text itself.

    Attributes:
        popular: tier B.
        categories: of tier C, one by one.
        probes: probes beyond those that the consent text covers.
    """

    popular: bool = False
    categories: frozenset[str] = frozenset()
    probes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SkippedTarget:
    """A target that is not probed, and why not."""

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
    """Return which of `listed` are probed and which are not.

    Args:
        listed: what a list names.
        scope: what the host has agreed to.
        country: where the host is; empty where it does not say, which is taken as dangerous.
        in_consent_text: the probes that the consent text covers.
        high_risk_countries: countries beyond `HIGH_RISK_COUNTRIES`.
    """
    # Who does not say where he is may be anywhere.
    careful = not country or country in HIGH_RISK_COUNTRIES or country in high_risk_countries
    taken: list[ListedTarget] = []
    left: list[SkippedTarget] = []
    for one in listed:
        reason = next(_objections(one, scope, in_consent_text, careful=careful), "")
        if reason:
            left.append(SkippedTarget(one, reason))
        else:
            taken.append(one)
    return taken, left


def _objections(
    one: ListedTarget,
    scope: ConsentScope,
    in_consent_text: Collection[str],
    *,
    careful: bool,
) -> Iterator[str]:
    """Yield the reasons not to probe a target."""
    if careful and one.tier is not ConsentTier.INFRASTRUCTURE:
        yield "infrastructure alone is probed in this country"
    if one.tier is ConsentTier.POPULAR and not scope.popular:
        yield "tier B was not agreed to: netwatch agent consent grant --tier B"
    if one.tier is ConsentTier.SENSITIVE and one.category not in scope.categories:
        yield (
            f"category {one.category} was not agreed to:"
            f" netwatch agent consent grant --category {one.category}"
        )
    if one.target.probe not in {*in_consent_text, *scope.probes}:
        yield (
            f"probes of the kind {one.target.probe} were not agreed to:"
            f" netwatch agent consent grant --kind {one.target.probe}"
        )
