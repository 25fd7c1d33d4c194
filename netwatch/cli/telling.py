"""How what an agent does is told to the person at the machine."""

import json

from netwatch.agent.explain import Explanation

_MOST_LEFT = 20


def explanation_lines(told: Explanation) -> list[str]:
    """Return an explanation as lines for people."""
    return [
        f"What it probes ({len(told.targets)}):",
        *(
            f"  {row.tier:4}{row.category:6} {row.target:24} {row.probe:9} {row.host:40}"
            f" {row.daily_runs} times a day"
            for row in told.targets
        ),
        "Beside these it contacts:",
        *(f"  {one.purpose:10} {one.address:40} {one.when}" for one in told.contacts),
        *(f"Also, {text}." for text in told.other_traffic),
        *_left_lines(told),
        f"Probing takes about {told.daily_bytes / 2**20:.1f} MiB a day.",
        f"It may take {told.budget_bytes // 2**20} MiB at most.",
        f"Sending the results takes {told.daily_sent_bytes / 2**20:.2f} MiB a day.",
        "It sends:",
        *(f"  {text}" for text in told.sent_fields),
        f"A batch of {told.example.rows} rows takes {told.example.message_bytes} bytes. Its head:",
        f"  {json.dumps(told.example.header)}",
        "and one of its rows:",
        f"  {json.dumps(told.example.row)}",
        "It never sends:",
        *(f"  {text}" for text in told.never_sent),
    ]


def _left_lines(told: Explanation) -> list[str]:
    """Return what is not probed of the list, and why not; the first of many."""
    if not told.skipped:
        return []
    shown = told.skipped[:_MOST_LEFT]
    lines = [f"Of the observatory's list it leaves out {len(told.skipped)} targets:"]
    lines += [f"  {row.tier:4} {row.target:24} {row.host:40} {row.reason}" for row in shown]
    if len(shown) < len(told.skipped):
        lines.append("  … see --json for all of them")
    return lines
