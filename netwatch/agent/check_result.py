"""What an examination finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at; `fix` says what to do where it is not well."""

    name: str
    ok: bool
    text: str
    fix: str = ""
