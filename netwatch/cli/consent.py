"""The commands by which a person agrees to probing, or does not."""

import sys
from typing import Annotated

import typer

from netwatch.cli.options import DEFAULT, ConfigOption, JsonOption, print_told, say_time

__all__ = ["app"]

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
    from netwatch.app.vantage import open_consent
    from netwatch.config import read_config

    since = say_time(open_consent(read_config(config)).granted_at())
    told = {"version": CONSENT_VERSION, "text": CONSENT_TEXT, "granted_at": since}
    line = f"Agreed to on {since}." if since else "Nobody has agreed to this yet."
    print_told(told, [CONSENT_TEXT, line], as_json=as_json)


@app.command("grant")
def grant(
    config: ConfigOption = DEFAULT,
    accept: Annotated[
        int, typer.Option("--accept-consent", help="Accept this version without questions.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Read what it means, answer two questions, and agree.

    Example: netwatch agent consent grant --accept-consent 1
    """
    from netwatch.agent.consent import CONSENT_TEXT, CONSENT_VERSION
    from netwatch.app.vantage import open_consent, present
    from netwatch.config import read_config
    from netwatch.model.errors import ConfigError

    consent = open_consent(read_config(config))
    if accept not in {0, CONSENT_VERSION}:
        raise ConfigError(f"--accept-consent {accept}: the present version is {CONSENT_VERSION}")
    if not accept:
        sys.stdout.write(CONSENT_TEXT + "\n")
        for question in _QUESTIONS:
            while not typer.confirm(question, default=None):
                sys.stdout.write("Please read the text above again: the answer is yes.\n")
        typer.confirm("Do you agree?", abort=True)
    consent.grant(present())
    print_told({"granted": CONSENT_VERSION}, ["Thank you. Nothing runs yet."], as_json=as_json)


@app.command("withdraw")
def withdraw(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Agree no more; a running agent stops probing within a second.

    Example: netwatch agent consent withdraw
    """
    from netwatch.app.vantage import open_consent
    from netwatch.config import read_config

    open_consent(read_config(config)).withdraw()
    print_told({"granted": None}, ["Withdrawn."], as_json=as_json)
