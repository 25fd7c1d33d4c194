"""`netwatch outages`: lists, shows and verifies the incidents of the ledger."""

import re
import sys
from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from netwatch.cli.entrypoint import one_line_errors
from netwatch.cli.open_data import (
    AsciiOption,
    ConfigOption,
    DataOption,
    JsonOption,
    SinceOption,
    UntilOption,
    ZoneOption,
    open_data,
    parse_time,
)
from netwatch.cli.outage_tables import outages_table
from netwatch.cli.output import table_lines
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.errors import InputError
from netwatch.model.incident import PUBLIC_STATES, Incident, IncidentState
from netwatch.publish.display_names import full_name
from netwatch.publish.incident_json import incident_object
from netwatch.publish.summary import key_facts

app = typer.Typer(invoke_without_command=True)
_WIDTH = 160
"""Columns of a table that does not go to a terminal; no cell is cut."""


@app.callback()
def outages(
    context: typer.Context,
    country: Annotated[str | None, typer.Option(help="Two letters, such as IR.")] = None,
    scope: Annotated[str | None, typer.Option(help="IR, IR-23, AS44244 or a domain.")] = None,
    state: Annotated[
        IncidentState | None, typer.Option(help="Only incidents in this state.")
    ] = None,
    min_level: Annotated[int, typer.Option(min=0, max=4, help="Lowest evidence level.")] = 2,
    since: SinceOption = None,
    until: UntilOption = None,
    zone: ZoneOption = "UTC",
    as_json: JsonOption = False,
    plain: AsciiOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """List incidents, newest first, including those that began before --since and continued.

    Example: netwatch outages --country IR --since -7d
    """
    if context.invoked_subcommand is not None:
        return
    with one_line_errors():
        first, last = parse_time(since, zone), parse_time(until, zone)
        wanted = parse_scope(scope) if scope else None
        with open_data(data, config=config) as opened:
            tree = opened.tree
            found = [
                incident
                for incident in opened.ledger.incidents()
                if _overlaps(incident, first, last)
                and (country is None or tree.country_code(incident.entity) == country.upper())
                and (wanted is None or incident.entity == wanted)
                and (incident.state == state if state else incident.state in PUBLIC_STATES)
            ]
        shown = [incident for incident in found if incident.evidence_level >= min_level]
        if as_json:
            for incident in shown:
                _print_json(incident_object(incident, tree))
            return
        _print_table(shown, tree, plain=plain)
        sys.stderr.write(_count_note(len(shown), len(found) - len(shown)))


@app.command("show")
def show(
    incident: Annotated[str, typer.Argument(help="The incident, such as NW-IR-2019-0042.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Show one incident: its course, order of loss, surviving networks and timing features.

    Provisional incidents are shown too. No field states a cause.
    Example: netwatch outages show NW-IR-2019-0042 --json
    """
    with one_line_errors():
        with open_data(data, config=config) as opened:
            revisions = opened.ledger.revisions(incident)
            tree = opened.tree
        if not revisions:
            raise InputError(f"{incident[:60]!r}: no such incident; see `netwatch outages`")
        newest = revisions[-1]
        if as_json:
            _print_json(incident_object(newest, tree))
            return
        heading = f"{newest.id}  {newest.state}  {full_name(newest.entity, tree)}"
        for line in [heading, *table_lines(key_facts(newest, tree))]:
            sys.stdout.write(f"{line}\n")


@app.command("verify")
def verify(
    as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Check that no recorded revision was changed, or is missing between others.

    Each revision has a hash over the one before it. Exits with 1 and names the broken revisions.
    Example: netwatch outages verify
    """
    with one_line_errors():
        with open_data(data, config=config) as opened:
            broken = opened.ledger.verify_chain()
        if as_json:
            rows = [{"incident": name, "revision": number} for name, number in broken]
            _print_json({"intact": not broken, "broken": rows})
        else:
            for name, number in broken:
                sys.stdout.write(f"{name} revision {number}: changed, or its predecessor is\n")
            if not broken:
                sys.stdout.write("All revisions are intact.\n")
        if broken:
            raise typer.Exit(1)


def parse_scope(text: str) -> Entity:
    """Return the entity that `IR`, `IR-23`, `AS44244`, a domain or `kind:code` names.

    Raises:
        InputError: `text` has none of these forms.
    """
    word = text.strip()
    if ":" in word:
        return Entity.parse(word)
    if re.fullmatch(r"[A-Za-z]{2}", word):
        return Entity.parse(f"country:{word.upper()}")
    if number := re.fullmatch(r"(?:[Aa][Ss])?(\d+)", word):
        return Entity.parse(f"asn:{number[1]}")
    if re.fullmatch(r"[A-Za-z]{2}-[A-Za-z0-9.]{1,12}", word):
        return Entity.parse(f"region:{word[:2].upper()}{word[2:]}")
    if "." in word:
        return Entity.parse(f"domain:{word}")
    raise InputError(f"{text[:60]!r} is not a place; write IR, IR-23, AS44244 or a domain")


def _overlaps(incident: Incident, first: datetime | None, last: datetime | None) -> bool:
    if last is not None and incident.started_at >= last:
        return False
    return first is None or incident.ended_at is None or incident.ended_at >= first


def _print_json(value: object) -> None:
    sys.stdout.write(f"{msgspec.json.encode(value).decode()}\n")


def _print_table(incidents: list[Incident], tree: EntityTree, *, plain: bool) -> None:
    width = None if sys.stdout.isatty() else _WIDTH
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    if incidents:
        console.print(outages_table(incidents, tree, plain=plain))


def _count_note(shown: int, hidden: int) -> str:
    note = f"{shown} incident{'' if shown == 1 else 's'}. Not exhaustive. Times UTC."
    return f"{note} {hidden} below this level, use --min-level 0.\n" if hidden else f"{note}\n"
