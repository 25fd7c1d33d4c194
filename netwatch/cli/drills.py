"""How a drill's outcome is told."""

from netwatch.lab.drill.runner import Outcome


def drill_text(outcome: Outcome) -> str:
    """Return the posts and the findings, a line a claim, and the verdict last."""
    lines = ["", "Posts:"]
    lines += [f"  {entry.post.text.splitlines()[0]}" for entry in outcome.posts]
    lines += ["", "Reported:"]
    for finding in outcome.findings:
        mark = "ok    " if finding.holds else "MISSED"
        lines.append(f"  {mark} {finding.claim} (told: {finding.seen})")
    verdict = "The drill passed." if outcome.passed else "The drill FAILED."
    return "\n".join([*lines, "", verdict, ""])
