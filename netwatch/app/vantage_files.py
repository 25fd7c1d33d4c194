"""Where a vantage keeps what is its own: a few files in the data folder, by its name."""

from pathlib import Path

from netwatch.agent.consent import Consent
from netwatch.agent.enrollment_client import Enrollment, EnrollmentFile
from netwatch.agent.private_files import FOLDER_MODE
from netwatch.config import Config
from netwatch.model.errors import ConfigError

_OURS = (
    "spool-{}.sqlite*",
    "agent-{}.key*",
    "consent-{}.json",
    "targets-{}",
    "observatory-{}.json",
    # What a write that was cut short left.
    "consent-{}.json.part",
    "targets-{}.part",
    "observatory-{}.json.part",
)


def folder_of(config: Config) -> Path:
    """Return the data folder, which exists from here on.

    Raises:
        ConfigError: it cannot be made.
    """
    folder = Path(config.data)
    try:
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data = {config.data!r}: cannot be used: {error.strerror}") from error
    return folder


def files_of(config: Config) -> list[Path]:
    """Return everything that this vantage keeps on this machine."""
    return [
        path
        for pattern in _OURS
        for path in sorted(folder_of(config).glob(pattern.format(config.vantage.id)))
    ]


def key_path(config: Config) -> Path:
    """Return where this vantage's key is."""
    return folder_of(config) / f"agent-{config.vantage.id}.key"


def list_path(config: Config) -> Path:
    """Return where the last good target list is."""
    return folder_of(config) / f"targets-{config.vantage.id}"


def spool_path(config: Config) -> Path:
    """Return where measurements wait."""
    return folder_of(config) / f"spool-{config.vantage.id}.sqlite"


def open_consent(config: Config) -> Consent:
    """Return what the person at this machine has agreed to."""
    return Consent(folder_of(config) / f"consent-{config.vantage.id}.json")


def membership_file(config: Config) -> EnrollmentFile:
    """Return the file that keeps what enrollment told."""
    return EnrollmentFile(folder_of(config) / f"observatory-{config.vantage.id}.json")


def membership_of(config: Config) -> Enrollment | None:
    """Return what is known of the observatory that this vantage is enrolled with, or None.

    Raises:
        ConfigError: the file that says so is damaged.
    """
    return membership_file(config).read()
