"""What the person at the machine has agreed to, and when they want quiet. Nothing more."""

from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

import msgspec

from netwatch.agent.private_files import FOLDER_MODE, write_private
from netwatch.agent.target_policy import ConsentScope
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Target

CONSENT_VERSION = 2
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


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    """The file, as it is written."""

    granted_version: int = 0
    granted_at: datetime | None = None
    paused_until: datetime | None = None
    popular: bool = False
    categories: list[str] = []
    kinds: list[str] = []


class Consent:
    """A small file that `consent` and `pause` write, and a running agent reads.

    Raises:
        ConfigError: from every method, when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def granted_at(self) -> datetime | None:
        """Return when the present text was agreed to, None if it was not."""
        written = self._read()
        return written.granted_at if written.granted_version == CONSENT_VERSION else None

    def scope(self) -> ConsentScope:
        """Return what was agreed to beyond the text; nothing where that was not."""
        written = self._read()
        if written.granted_version != CONSENT_VERSION:
            return ConsentScope()
        return ConsentScope(
            written.popular, frozenset(written.categories), frozenset(written.kinds)
        )

    def grant(self, now: datetime) -> None:
        """Write down that the present text is agreed to; what went beyond an older one ends."""
        written = self._read()
        if written.granted_version != CONSENT_VERSION:
            written.popular, written.categories, written.kinds = False, [], []
        written.granted_version, written.granted_at = CONSENT_VERSION, now
        self._write(written)

    def extend(self, *, popular: bool = False, category: str = "", kind: str = "") -> None:
        """Write down that tier B, one category of tier C, or one kind of probe is agreed to.

        Raises:
            ConfigError: the present text was not agreed to before.
        """
        written = self._read()
        if written.granted_version != CONSENT_VERSION:
            raise ConfigError("first agree to the text: netwatch agent consent grant")
        written.popular = written.popular or popular
        written.categories = sorted({*written.categories, *filter(None, [category])})
        written.kinds = sorted({*written.kinds, *filter(None, [kind])})
        self._write(written)

    def revoke(self) -> None:
        """Write down that nothing is agreed to any more; a running agent stops."""
        written = self._read()
        self._write(_Written(paused_until=written.paused_until))

    def pause(self, until: datetime | None) -> None:
        """Measure nothing until then; None ends a pause."""
        written = self._read()
        written.paused_until = until
        self._write(written)

    def paused_until(self, now: datetime) -> datetime | None:
        """Return until when nothing is measured, None if it is."""
        until = self._read().paused_until
        return until if until is not None and until > now else None

    def _read(self) -> _Written:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Written)
        except FileNotFoundError:
            return _Written()
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{self._path}: cannot be used: {error}") from error

    def _write(self, written: _Written) -> None:
        try:
            self._path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            write_private(self._path, msgspec.json.encode(written))
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be written: {error.strerror}") from error


def needs_consent(target: Target) -> bool:
    """Tell whether probing a target can be seen by anyone but this machine."""
    try:
        return not ip_address(target.host).is_loopback
    except ValueError:
        return target.host != "localhost"
