"""Counts what went wrong by reason, and says so once, then now and then."""

import logging
from collections import Counter
from time import monotonic

_log = logging.getLogger("netwatch.collector")
_QUIET = 60.0
"""Seconds between two lines about the same reason."""


class Counters:
    """What the collector counted since it started.

    Attributes:
        counts: reason and number; `batches` and `measurements` count what was kept.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._told: dict[str, float] = {}

    def add(self, reason: str, number: int = 1) -> None:
        """Count without a word."""
        self.counts[reason] += number

    def complain(self, reason: str, text: str) -> None:
        """Count, and log one line: the first of its kind, then at most one a minute."""
        self.counts[reason] += 1
        now = monotonic()
        if reason in self._told and now - self._told[reason] < _QUIET:
            return
        self._told[reason] = now
        _log.warning("%s (%s: %d so far)", _plain(text), reason, self.counts[reason])


def _plain(text: str) -> str:
    """Return what strangers wrote on one line: whoever names himself with a break forges none."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
