"""What an examination finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at; `mend` says what to do where it is not well."""

    name: str
    well: bool
    text: str
    mend: str = ""
