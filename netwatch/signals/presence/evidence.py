"""Evidence from the presence log, or none while the log cannot be read: levels do not need it."""

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from netwatch.model.errors import StoreError
from netwatch.signals.presence.disconnects import DisconnectEvidence, MassDisconnectDetector
from netwatch.signals.presence.log import PresenceLog
from netwatch.storage.sqlite_file import UnavailableError

_LOG = logging.getLogger(__name__)


class PresenceEvidence:
    """Evaluates the log at `path`, which the collector may replace meanwhile; for one thread.

    A log that is locked, or a full disk, raises `UnavailableError`: a later call has the evidence.
    """

    def __init__(self, path: Path, *, width: timedelta) -> None:
        self._path, self._width = path, width
        self._log: PresenceLog | None = None
        self._detector: MassDisconnectDetector | None = None
        self._file = 0
        self._is_failing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_failing = True  # a thread that still reads has nothing to say any more
        self.close()

    def __call__(self, time: datetime) -> DisconnectEvidence:
        """Return the evidence for the interval that starts at `time`; log a failure once."""
        try:
            evidence = self._open()(time)
        except UnavailableError:
            raise
        except StoreError as error:
            self.close()
            if not self._is_failing:
                _LOG.error("%s; analysis goes on without lost agents", error)
            self._is_failing = True
            return DisconnectEvidence()
        self._is_failing = False
        return evidence

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()
        self._log = self._detector = None

    def _open(self) -> MassDisconnectDetector:
        """Open the log, again if another file has its name now."""
        file = self._path.stat().st_ino if self._path.exists() else 0
        if self._detector is None or file != self._file:
            self.close()
            self._log = PresenceLog(self._path)
            self._detector = MassDisconnectDetector(self._log, width=self._width)
            self._file = self._path.stat().st_ino
        return self._detector
