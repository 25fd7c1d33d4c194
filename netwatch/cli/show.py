"""`netwatch outages show`: all that is known of one incident, on a terminal or as JSON."""

import json
import sys
from contextlib import closing
from typing import Annotated

import typer

from netwatch.cli.outages import ConfigOption, DataOption, JsonOption, group, open_data, plain_end
from netwatch.model.errors import InputError

__all__ = ["group", "show"]

_INDENT = 18


@group.command("show")
def show(
    incident: Annotated[str, typer.Argument(help="Its number, such as NW-IR-2019-0042.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Show one incident: steps, who fell first, who kept access, and what its timing resembles.

    What is provisional is shown, too: this is for operators. Nothing in it states a cause.
    Example: netwatch outages show NW-IR-2019-0042 --json
    """
    from netwatch.publish.display_names import full_name
    from netwatch.publish.incident_json import incident_object
    from netwatch.publish.summary import key_facts

    with plain_end():
        with closing(open_data(data, config=config)) as opened:
            revisions = opened.ledger.revisions(incident)
            places = opened.places
        if not revisions:
            raise InputError(f"{incident[:60]!r}: no such incident; see `netwatch outages`")
        newest = revisions[-1]
        if as_json:
            found = incident_object(newest, places)
            sys.stdout.write(f"{json.dumps(found, ensure_ascii=False)}\n")
            return
        heading = f"{newest.id}  {newest.state}  {full_name(newest.entity, places)}"
        lines = [
            heading,
            *(f"{name:{_INDENT}}{words}" for name, words in key_facts(newest, places)),
        ]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
