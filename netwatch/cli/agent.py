"""The commands of a vantage."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)
consent_app = typer.Typer(no_args_is_help=True)
app.add_typer(consent_app, name="consent", help="Say whether this machine may probe.")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration; see `netwatch init`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DEFAULT = Path("netwatch.toml")
_LARGEST_FILE = 1024 * 1024


@app.callback()
def main() -> None:
    """Probe from this machine, and send what is seen."""


@app.command()
def run(config: ConfigOption = _DEFAULT) -> None:
    """Measure until Ctrl-C; what was not acknowledged waits for the next start.

    Example: netwatch agent run --config vantage.toml
    """
    from netwatch.app.run import run_until_stopped
    from netwatch.app.vantage import demand_consent, run_vantage
    from netwatch.config import read_config

    found = read_config(config)
    demand_consent(found)
    run_until_stopped(run_vantage(found, with_consent=True))


@app.command()
def once(config: ConfigOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """Measure every target once and print what was seen; nothing is kept or sent.

    Example: netwatch agent once --json
    """
    import asyncio

    import msgspec

    from netwatch.app.vantage import demand_consent, run_once
    from netwatch.config import read_config

    found = read_config(config)
    demand_consent(found)
    measurements = asyncio.run(run_once(found))
    lines = [
        f"{one.target:24} {one.probe:9} {one.seconds * 1000:8.1f} ms  {one.failure or 'ok'}"
        for one in measurements
    ]
    _print(msgspec.to_builtins(measurements), lines, as_json=as_json)


@app.command()
def explain(config: ConfigOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """Print what will be probed and what will be sent, before anything is.

    Example: netwatch agent explain
    """
    import msgspec

    from netwatch.agent.explain import explain as explain_agent
    from netwatch.app.vantage import targets_of, vantage_of
    from netwatch.config import read_config

    found = read_config(config)
    told = explain_agent(vantage_of(found), targets_of(found), found.agent)
    lines = [f"It probes {len(told.targets)} targets:"]
    lines += [
        f"  {row.target:24} {row.probe:9} {row.host:40} {row.times_a_day} times a day"
        for row in told.targets
    ]
    lines += [
        f"Probing takes about {told.bytes_a_day / 2**20:.1f} MiB a day.",
        f"It may take {told.budget_bytes // 2**20} MiB at most.",
        f"Sending the results takes {told.sent_bytes_a_day / 2**20:.2f} MiB a day.",
        "It sends:",
        *(f"  {text}" for text in told.sends),
        "It never sends:",
        *(f"  {text}" for text in told.never_sends),
    ]
    _print(msgspec.to_builtins(told), lines, as_json=as_json)


@app.command()
def status(config: ConfigOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """Print what waits to be sent, how full the spool is, and what was agreed to.

    Example: netwatch agent status --json
    """
    from netwatch.app.vantage import open_consent, open_spool, present
    from netwatch.config import read_config

    found = read_config(config)
    consent = open_consent(found)
    with open_spool(found) as spool:
        state, seen = spool.state(), spool.fact("seen")
    told = {
        "vantage": found.vantage.id,
        "last_measured": seen.decode() if seen else None,
        "waiting_batches": state.waiting,
        "refused_batches": state.refused,
        "spool_bytes": state.used_bytes,
        "spool_limit_bytes": state.limit_bytes,
        "thinned_batches": sum(state.tiers[2:]),
        "consent_since": _text(consent.granted_at()),
        "paused_until": _text(consent.paused_until(present())),
    }
    lines = [f"{name.replace('_', ' '):18} {value or '-'}" for name, value in told.items()]
    _print(told, lines, as_json=as_json)


@app.command()
def doctor(config: ConfigOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """Look for what keeps this vantage from working and say how to mend it; exit 1 if it is ill.

    Example: netwatch agent doctor
    """
    import asyncio

    import msgspec

    from netwatch.app.vantage import examine_vantage
    from netwatch.config import read_config

    findings = asyncio.run(examine_vantage(read_config(config)))
    lines = []
    for one in findings:
        lines.append(f"{'well' if one.well else 'ILL ':5} {one.name:8} {one.text}")
        if one.mend:
            lines.append(f"      {'':8} {one.mend}")
    _print(msgspec.to_builtins(findings), lines, as_json=as_json)
    if not all(one.well for one in findings):
        raise typer.Exit(1)


@app.command()
def pause(
    length: Annotated[str, typer.Argument(help="How long: 2h, 1d; 0s ends a pause.")],
    config: ConfigOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Measure nothing for a while; a running agent obeys within a second.

    Example: netwatch agent pause 2h
    """
    from netwatch.app.vantage import open_consent, present
    from netwatch.config import Duration, read_config
    from netwatch.model.errors import ConfigError

    try:
        duration = Duration.parse(length)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    until = present() + duration if duration else None
    open_consent(read_config(config)).pause(until)
    line = f"paused until {until:%Y-%m-%d %H:%M} UTC" if until else "not paused"
    _print({"paused_until": _text(until)}, [line], as_json=as_json)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write.")],
    config: ConfigOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Write what waits to be sent into a file that anybody may carry; it stays in the spool.

    Example: netwatch agent export /media/stick/vantage.nwx
    """
    from netwatch.app.vantage import open_spool
    from netwatch.config import read_config
    from netwatch.wire.export import write_export

    with open_spool(read_config(config)) as spool:
        count = write_export(file, (sealed.payload for sealed in spool.each_waiting(100)))
    _print({"batches": count, "file": str(file)}, [f"{count} batches in {file}"], as_json=as_json)


@app.command("import-receipts")
def import_receipts(
    file: Annotated[Path, typer.Argument(help="What `netwatch collect import` wrote.")],
    config: ConfigOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Forget the batches that an observatory signed for; a running agent need not stop.

    Example: netwatch agent import-receipts /media/stick/vantage.receipts
    """
    import msgspec

    from netwatch.agent.receipts import take_receipts
    from netwatch.app.vantage import open_spool
    from netwatch.config import read_config
    from netwatch.model.errors import InputError
    from netwatch.wire.export import read_receipts

    found = read_config(config)
    with open_spool(found) as spool:
        done = take_receipts(read_receipts(file), found.vantage.id, spool)
    lines = [f"{done.forgotten} batches left the spool, {done.refused} were refused"]
    _print(msgspec.to_builtins(done), lines, as_json=as_json)
    if done.problem:
        problem = done.problem
        raise InputError(problem if problem.startswith(str(file)) else f"{file}: {problem}")


@app.command()
def adopt(
    file: Annotated[Path, typer.Argument(help="The signed list.")],
    config: ConfigOption = _DEFAULT,
    key: Annotated[
        str, typer.Option("--key", help="The observatory's public key, 64 hexadecimal digits.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Take up an observatory's signed target list; a refused one changes nothing.

    It is probed from the next start on, within this machine's own limits.
    Example: netwatch agent adopt targets.signed
    """
    from netwatch.app.vantage import open_target_book, present
    from netwatch.config import read_config
    from netwatch.model.errors import ConfigError, InputError

    try:
        book = open_target_book(read_config(config), key=bytes.fromhex(key) or None)
        with file.open("rb") as opened:
            listed = book.offer(opened.read(_LARGEST_FILE), present())
    except ValueError as error:
        raise ConfigError("--key: must be 64 hexadecimal digits") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    told = {"version": listed.version, "targets": len(listed.targets)}
    line = f"{len(listed.targets)} targets, version {listed.version}; see `netwatch agent explain`"
    _print(told, [line], as_json=as_json)


@app.command()
def purge(
    config: ConfigOption = _DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase everything that this vantage keeps on this machine: results, key and consent.

    Example: netwatch agent purge --yes
    """
    from netwatch.app.vantage import purge_vantage
    from netwatch.config import read_config

    found = read_config(config)
    if not yes:
        typer.confirm("Erase results that were not sent, the key, and the consent?", abort=True)
    erased = [str(path) for path in purge_vantage(found)]
    _print({"erased": erased}, [f"erased {path}" for path in erased], as_json=as_json)


@consent_app.command("show")
def consent_show(config: ConfigOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """Print what there is to agree to, and whether somebody has.

    Example: netwatch agent consent show
    """
    from netwatch.agent.consent import CONSENT_TEXT, CONSENT_VERSION
    from netwatch.app.vantage import open_consent
    from netwatch.config import read_config

    since = _text(open_consent(read_config(config)).granted_at())
    told = {"version": CONSENT_VERSION, "text": CONSENT_TEXT, "granted_at": since}
    line = f"Agreed to on {since}." if since else "Nobody has agreed to this yet."
    _print(told, [CONSENT_TEXT, line], as_json=as_json)


@consent_app.command("grant")
def consent_grant(
    config: ConfigOption = _DEFAULT,
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
    _print({"granted": CONSENT_VERSION}, ["Thank you. Nothing runs yet."], as_json=as_json)


@consent_app.command("withdraw")
def consent_withdraw(config: ConfigOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """Agree no more; a running agent stops probing within a second.

    Example: netwatch agent consent withdraw
    """
    from netwatch.app.vantage import open_consent
    from netwatch.config import read_config

    open_consent(read_config(config)).withdraw()
    _print({"granted": None}, ["Withdrawn."], as_json=as_json)


_QUESTIONS = (
    "Can your provider see that you run this?",
    "Will your results become part of what is published?",
)


def _text(value: datetime | None) -> str | None:
    """Return a moment as text, None for none."""
    return None if value is None else value.isoformat()


def _print(told: object, lines: list[str], *, as_json: bool) -> None:
    """Print JSON for machines, or lines for people."""
    text = json.dumps(told, default=str) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")
