"""`netwatch agent consent`: show, grant and withdraw the host's consent to probing."""

import sys
from typing import Annotated

import typer

from netwatch.agent.consent import CONSENT_TEXT, CONSENT_VERSION
from netwatch.agent.target_policy import CATEGORIES, HIGH_RISK_COUNTRIES
from netwatch.app.target_selection import open_target_list_store
from netwatch.app.vantage_files import open_consent
from netwatch.app.wall_clock import now
from netwatch.cli.options import ConfigOption, JsonOption
from netwatch.cli.output import emit
from netwatch.config import Config
from netwatch.model.errors import ConfigError

app = typer.Typer(no_args_is_help=True)
_QUESTIONS = (
    "Can your provider see that you run this?",
    "Will your results become part of what is published?",
)


@app.command("show")
def show(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Print the consent text, and whether consent was granted.

    Example: netwatch agent consent show
    """
    since = open_consent(config).granted_at()
    status = {"version": CONSENT_VERSION, "text": CONSENT_TEXT, "granted_at": since}
    line = f"Granted on {since.isoformat()}." if since else "Not granted yet."
    emit(status, [CONSENT_TEXT, line], as_json=as_json)


@app.command("grant")
def grant(
    config: ConfigOption,
    accept: Annotated[
        int, typer.Option("--accept-consent", help="Accept this version without questions.")
    ] = 0,
    tier: Annotated[
        str, typer.Option(help="B also probes popular sites; A is what the text covers.")
    ] = "A",
    category: Annotated[
        str, typer.Option(help="Also probe one category of sensitive sites, such as NEWS.")
    ] = "",
    probe: Annotated[
        str, typer.Option(help="Also run this probe, which the text does not cover.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show the consent text, ask two questions about it, and record consent.

    Example: netwatch agent consent grant --tier B
    """
    consent = open_consent(config)
    if accept not in {0, CONSENT_VERSION}:
        raise ConfigError(f"--accept-consent {accept}: the current version is {CONSENT_VERSION}")
    more = _check_more(tier, category, probe, country=config.vantage.country)
    if more and accept:
        raise ConfigError("--accept-consent: more than tier A has to be confirmed interactively")
    if consent.granted_at() is None or not more:
        if not accept:
            _ask_about_text()
        consent.grant(now())
    if more:
        _ask_about_more(config, tier, category)
        consent.extend(popular=tier == "B", category=category, probe=probe)
    granted = {"granted": CONSENT_VERSION, "tier": tier, "category": category, "probe": probe}
    line = "Thank you. This applies from now on." if more else "Thank you. Nothing runs yet."
    emit(granted, [line], as_json=as_json)


@app.command("withdraw")
def withdraw(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Withdraw consent; a running agent stops all traffic within two seconds.

    Example: netwatch agent consent withdraw
    """
    open_consent(config).revoke()
    emit({"granted": None}, ["Withdrawn."], as_json=as_json)


def _check_more(tier: str, category: str, probe: str, *, country: str) -> bool:
    if tier not in {"A", "B"}:
        raise ConfigError(f"--tier {tier}: must be A or B; for tier C name a --category")
    if category and category not in CATEGORIES:
        raise ConfigError(f"--category {category}: must be one of {' '.join(sorted(CATEGORIES))}")
    if (tier == "B" or category) and country in HIGH_RISK_COUNTRIES:
        raise ConfigError(
            f"in {country} only infrastructure may be probed: anything else may be dangerous"
        )
    if (tier == "B" or category) and not country:
        raise ConfigError('first set the country in [vantage]: country = "XX"')
    return tier == "B" or bool(category) or bool(probe)


def _ask_about_text() -> None:
    sys.stdout.write(CONSENT_TEXT + "\n")
    for question in _QUESTIONS:
        while not typer.confirm(question, default=None):
            sys.stdout.write("Please read the text above again: the answer is yes.\n")
    typer.confirm("Do you agree?", abort=True)


def _ask_about_more(config: Config, tier: str, category: str) -> None:
    target_list = open_target_list_store(config).current()
    hosts = [
        one.target.host
        for one in (target_list.listed_targets() if target_list else ())
        if one.category == category and one.tier == ("C" if category else tier)
    ]
    if hosts and (category or tier == "B"):
        sys.stdout.write("Anyone who monitors your connection can see this computer contact:\n")
        sys.stdout.writelines(f"  {host}\n" for host in hosts)
    typer.confirm("A later list may name others. Do you agree?", abort=True)
