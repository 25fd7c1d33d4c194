"""The commands of a vantage."""

from pathlib import Path
from typing import Annotated

import typer

from netwatch.cli import consent
from netwatch.cli import enroll as membership
from netwatch.cli.options import DEFAULT, ConfigOption, JsonOption, emit, say_time

app = typer.Typer(no_args_is_help=True)
app.add_typer(consent.app, name="consent", help="Say whether this machine may probe.")


@app.callback()
def main() -> None:
    """Probe from this machine, and send what is seen."""


@app.command()
def run(config: ConfigOption = DEFAULT) -> None:
    """Measure until Ctrl-C; what was not acknowledged waits for the next start.

    Example: netwatch agent run --config vantage.toml
    """
    from netwatch.cli.entrypoint import run_agent

    run_agent(config)


@app.command()
def once(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
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
    emit(msgspec.to_builtins(measurements), lines, as_json=as_json)


@app.command()
def explain(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Print what will be contacted and what will be sent, before anything is.

    Example: netwatch agent explain
    """
    import msgspec

    from netwatch.app.explain import explain_vantage
    from netwatch.cli.telling import explanation_lines
    from netwatch.config import read_config

    told = explain_vantage(read_config(config))
    emit(msgspec.to_builtins(told), explanation_lines(told), as_json=as_json)


@app.command()
def status(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Print what waits to be sent, what was agreed to, and what the target list is.

    Example: netwatch agent status --json
    """
    from netwatch.app.vantage_status import vantage_status
    from netwatch.config import read_config

    told = vantage_status(read_config(config))
    lines = [f"{name.replace('_', ' '):20} {_plain(value)}" for name, value in told.items()]
    emit(told, lines, as_json=as_json)


@app.command()
def doctor(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
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
        lines.append(f"{'ok' if one.ok else 'FAIL':5} {one.name:8} {one.text}")
        if one.fix:
            lines.append(f"      {'':8} {one.fix}")
    emit(msgspec.to_builtins(findings), lines, as_json=as_json)
    if not all(one.ok for one in findings):
        raise typer.Exit(1)


@app.command()
def pause(
    length: Annotated[str, typer.Argument(help="How long: 2h, 1d; 0s ends a pause.")],
    config: ConfigOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Measure nothing for a while; a running agent obeys within a second.

    Example: netwatch agent pause 2h
    """
    from netwatch.app.clock import now
    from netwatch.app.vantage_files import open_consent
    from netwatch.config import read_config
    from netwatch.model.duration import Duration
    from netwatch.model.errors import ConfigError

    try:
        duration = Duration.parse(length)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    until = now() + duration if duration else None
    open_consent(read_config(config)).pause(until)
    line = f"paused until {until:%Y-%m-%d %H:%M} UTC" if until else "not paused"
    emit({"paused_until": say_time(until)}, [line], as_json=as_json)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write.")],
    config: ConfigOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Write what waits to be sent into a file that anybody may carry; it stays in the spool.

    Example: netwatch agent export /media/stick/vantage.nwx
    """
    from netwatch.app.vantage import open_spool
    from netwatch.config import read_config
    from netwatch.wire.export import write_export

    with open_spool(read_config(config)) as spool:
        count = write_export(file, (sealed.payload for sealed in spool.iterate_pending(100)))
    emit({"batches": count, "file": str(file)}, [f"{count} batches in {file}"], as_json=as_json)


@app.command("import-receipts")
def import_receipts(
    file: Annotated[Path, typer.Argument(help="What `netwatch collect import` wrote.")],
    config: ConfigOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Forget the batches that an observatory signed for; a running agent need not stop.

    Example: netwatch agent import-receipts /media/stick/vantage.receipts
    """
    import msgspec

    from netwatch.agent.spool.ack_verifier import apply_receipts
    from netwatch.app.vantage import open_spool
    from netwatch.config import read_config
    from netwatch.model.errors import InputError
    from netwatch.wire.export import read_receipts

    found = read_config(config)
    with open_spool(found) as spool:
        done = apply_receipts(read_receipts(file), found.vantage.id, spool)
    lines = [f"{done.deleted} batches left the spool, {done.refused} were refused"]
    emit(msgspec.to_builtins(done), lines, as_json=as_json)
    if done.problem:
        problem = done.problem
        raise InputError(problem if problem.startswith(str(file)) else f"{file}: {problem}")


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print which version this is, and which text there is to agree to.

    Example: netwatch agent version --json
    """
    from netwatch import __version__
    from netwatch.agent.consent import CONSENT_VERSION

    told = {"version": __version__, "consent_version": CONSENT_VERSION}
    line = f"netwatch {__version__}, consent text {CONSENT_VERSION}"
    emit(told, [line], as_json=as_json)


def _plain(value: object) -> str:
    """Return a value for people."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_plain(one)}" for name, one in value.items()) or "-"
    return "-" if value in {None, ""} else str(value)


app.registered_commands.extend(membership.app.registered_commands)
