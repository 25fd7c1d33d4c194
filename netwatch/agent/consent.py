"""The host's consent, and the pause that the host asked for: one file, read by a running agent."""

from datetime import datetime
from pathlib import Path

import msgspec

from netwatch.agent.record_file import read_record, write_record
from netwatch.agent.target_policy import ConsentScope
from netwatch.model.addresses import is_loopback
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Target

CONSENT_VERSION = 2
"""Version of the text below; a new text needs new consent."""
CONSENT_TEXT = """\
netwatch makes small network connections from this computer to a list of addresses, to tell
whether the Internet works in your area. `netwatch agent explain` prints that list.

1. Anyone who watches your line (your provider, your employer, authorities) CAN SEE that you
   run it and what it contacts.
2. It sends: success or failure and timing of each connection, your network's number (ASN),
   your country, and its own health. It does not send your name, what you browse, or where
   exactly you are. Your IP address is seen when it connects, and is not stored.
3. Results of many are published together.
4. In some places measuring networks may be illegal or dangerous. If you are unsure, do not
   run it.
5. It asks your own router every half minute whether it is there.
6. An observatory that you enroll with may send a signed list of what to probe, and renew it.
   By agreeing here you agree to its tier A: infrastructure, such as name servers, asked by
   dns, tcp, tls, http, quic and icmp, and small timed downloads (transfer). Popular sites
   (tier B), sites of a sensitive category (tier C), and any other kind of probe are left
   alone until you agree to each by itself.
7. You can list every address (explain), pause, stop, and erase everything (purge) at any time.
"""


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    granted_version: int = 0
    granted_at: datetime | None = None
    paused_until: datetime | None = None
    popular: bool = False
    categories: list[str] = []
    probes: list[str] = []

    def is_granted(self) -> bool:
        return self.granted_version == CONSENT_VERSION


class Consent:
    """Reads and changes the file; every method may raise ConfigError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def granted_at(self) -> datetime | None:
        """Return when the current text was agreed to, None if it was not."""
        record = self._read()
        return record.granted_at if record.is_granted() else None

    def scope(self) -> ConsentScope:
        """Return what was agreed to beyond the current text."""
        record = self._read()
        if not record.is_granted():
            return ConsentScope()
        return ConsentScope(record.popular, frozenset(record.categories), frozenset(record.probes))

    def grant(self, now: datetime) -> None:
        """Record consent to the current text; what was granted beyond an older text ends."""
        record = self._read()
        if not record.is_granted():
            record = _Record(paused_until=record.paused_until)
        record.granted_version, record.granted_at = CONSENT_VERSION, now
        write_record(self._path, record)

    def extend(self, *, popular: bool = False, category: str = "", probe: str = "") -> None:
        """Record consent beyond the text; raises ConfigError if the text was not agreed to."""
        record = self._read()
        if not record.is_granted():
            raise ConfigError("first agree to the text: netwatch agent consent grant")
        record.popular = record.popular or popular
        record.categories = sorted({*record.categories, *filter(None, [category])})
        record.probes = sorted({*record.probes, *filter(None, [probe])})
        write_record(self._path, record)

    def revoke(self) -> None:
        """Withdraw all consent; a running agent stops."""
        write_record(self._path, _Record(paused_until=self._read().paused_until))

    def pause(self, until: datetime | None) -> None:
        """Pause measuring until a time; None ends a pause."""
        record = self._read()
        record.paused_until = until
        write_record(self._path, record)

    def paused_until(self, now: datetime) -> datetime | None:
        """Return when the current pause ends, None if not paused."""
        until = self._read().paused_until
        return until if until is not None and until > now else None

    def _read(self) -> _Record:
        return read_record(self._path, _Record) or _Record()


def needs_consent(target: Target) -> bool:
    """Return whether anyone but this machine can see a probe of `target`."""
    return not is_loopback(target.host)
