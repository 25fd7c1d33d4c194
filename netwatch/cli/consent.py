"""The commands by which a person agrees to probing, or does not."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from netwatch.cli.options import DEFAULT, ConfigOption, JsonOption, emit, say_time

if TYPE_CHECKING:
    from netwatch.config import Config


app = typer.Typer(no_args_is_help=True)
_QUESTIONS = (
    "Can your provider see that you run this?",
    "Will your results become part of what is published?",
)


@app.command("show")
def show(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Print what there is to agree to, and whether somebody has.

    Example: netwatch agent consent show
    """
    from netwatch.agent.consent import CONSENT_TEXT, CONSENT_VERSION
    from netwatch.app.vantage_files import open_consent
    from netwatch.config import read_config

    since = say_time(open_consent(read_config(config)).granted_at())
    told = {"version": CONSENT_VERSION, "text": CONSENT_TEXT, "granted_at": since}
    line = f"Agreed to on {since}." if since else "Nobody has agreed to this yet."
    emit(told, [CONSENT_TEXT, line], as_json=as_json)


@app.command("grant")
def grant(
    config: ConfigOption = DEFAULT,
    accept: Annotated[
        int, typer.Option("--accept-consent", help="Accept this version without questions.")
    ] = 0,
    tier: Annotated[
        str, typer.Option(help="B, to probe popular sites too; A is what the text speaks of.")
    ] = "A",
    category: Annotated[
        str, typer.Option(help="One category of sensitive sites, such as NEWS; one at a time.")
    ] = "",
    kind: Annotated[str, typer.Option(help="A kind of probe that the text does not name.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Read what it means, answer two questions, and agree; then, if you want, to more.

    Example: netwatch agent consent grant --tier B
    """
    from netwatch.agent.consent import CONSENT_VERSION
    from netwatch.app.clock import now
    from netwatch.app.vantage_files import open_consent
    from netwatch.config import read_config
    from netwatch.model.errors import ConfigError

    found = read_config(config)
    consent = open_consent(found)
    if accept not in {0, CONSENT_VERSION}:
        raise ConfigError(f"--accept-consent {accept}: the present version is {CONSENT_VERSION}")
    more = _check_more(tier, category, kind, country=found.vantage.country)
    if more and accept:
        raise ConfigError("--accept-consent: more than tier A needs a person to answer")
    if consent.granted_at() is None or not more:
        if not accept:
            _ask_about_text()
        consent.grant(now())
    if more:
        _ask_about_more(found, tier, category)
        consent.extend(popular=tier == "B", category=category, probe=kind)
    told = {"granted": CONSENT_VERSION, "tier": tier, "category": category, "kind": kind}
    line = "Thank you. It holds from now on." if more else "Thank you. Nothing runs yet."
    emit(told, [line], as_json=as_json)


@app.command("withdraw")
def withdraw(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Agree no more; a running agent stops all that goes out within two seconds.

    Example: netwatch agent consent withdraw
    """
    from netwatch.app.vantage_files import open_consent
    from netwatch.config import read_config

    open_consent(read_config(config)).revoke()
    emit({"granted": None}, ["Withdrawn."], as_json=as_json)


def _check_more(tier: str, category: str, kind: str, *, country: str) -> bool:
    """Tell whether more than the text is agreed to; ConfigError for what cannot be."""
    from netwatch.agent.target_policy import CATEGORIES, HIGH_RISK_COUNTRIES
    from netwatch.model.errors import ConfigError

    if tier not in {"A", "B"}:
        raise ConfigError(f"--tier {tier}: must be A or B; for tier C name a --category")
    if category and category not in CATEGORIES:
        raise ConfigError(f"--category {category}: is none of {' '.join(sorted(CATEGORIES))}")
    if (tier == "B" or category) and country in HIGH_RISK_COUNTRIES:
        raise ConfigError(f"in {country} infrastructure alone is probed: it may be dangerous")
    if (tier == "B" or category) and not country:
        raise ConfigError('first say under [vantage] which country this is: country = "XX"')
    return tier == "B" or bool(category) or bool(kind)


def _ask_about_text() -> None:
    """Show the text, ask whether it was read, and whether it is agreed to; end where not."""
    from netwatch.agent.consent import CONSENT_TEXT

    sys.stdout.write(CONSENT_TEXT + "\n")
    for question in _QUESTIONS:
        while not typer.confirm(question, default=None):
            sys.stdout.write("Please read the text above again: the answer is yes.\n")
    typer.confirm("Do you agree?", abort=True)


def _ask_about_more(config: "Config", tier: str, category: str) -> None:
    """Show what would be probed besides, and ask; end where that is not agreed to."""
    from netwatch.app.targets import open_target_list_store

    listed = open_target_list_store(config).current()
    hosts = [
        one.target.host
        for one in (listed.listed_targets() if listed else ())
        if one.category == category and one.tier == ("C" if category else tier)
    ]
    if hosts and (category or tier == "B"):
        sys.stdout.write("Anyone who watches your line can see this computer contact:\n")
        sys.stdout.writelines(f"  {host}\n" for host in hosts)
    typer.confirm("A later list may name others. Do you agree?", abort=True)
