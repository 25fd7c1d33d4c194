"""Paths and formats of the files that a vantage keeps in the data folder, named by its id."""

from pathlib import Path

from netwatch.agent.consent import Consent
from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.record_file import read_record
from netwatch.config import Config
from netwatch.model.errors import ConfigError, os_errors_as
from netwatch.storage.private_files import FOLDER_MODE

_PATTERNS = (
    "spool-{}.sqlite*",
    "agent-{}.key*",
    "consent-{}.json",
    "targets-{}",
    "observatory-{}.json",
    # Left behind by interrupted writes.
    "consent-{}.json.*.part",
    "targets-{}.*.part",
    "observatory-{}.json.*.part",
)


def data_folder(config: Config) -> Path:
    """Return the data folder, after creating it if necessary.

    Raises:
        ConfigError: it cannot be created.
    """
    folder = Path(config.data)
    with os_errors_as(ConfigError, f"data = {config.data!r}: cannot be used"):
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    return folder


def list_files(config: Config) -> list[Path]:
    """Return all files of this vantage."""
    folder = data_folder(config)
    return [
        path
        for pattern in _PATTERNS
        for path in sorted(folder.glob(pattern.format(config.vantage.id)))
    ]


def key_path(config: Config) -> Path:
    """Return the path of the vantage's private key."""
    return data_folder(config) / f"agent-{config.vantage.id}.key"


def list_path(config: Config) -> Path:
    """Return the path of the newest valid target list."""
    return data_folder(config) / f"targets-{config.vantage.id}"


def spool_path(config: Config) -> Path:
    """Return the path of the spool."""
    return data_folder(config) / f"spool-{config.vantage.id}.sqlite"


def open_consent(config: Config) -> Consent:
    """Return the recorded consent of this vantage's host."""
    return Consent(data_folder(config) / f"consent-{config.vantage.id}.json")


def enrollment_path(config: Config) -> Path:
    """Return the path of the result of enrollment."""
    return data_folder(config) / f"observatory-{config.vantage.id}.json"


def read_enrollment(config: Config) -> Enrollment | None:
    """Return the observatory that this vantage is enrolled with, None if it is not."""
    return read_record(enrollment_path(config), Enrollment)
