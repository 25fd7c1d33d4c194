"""A vantage's membership of an observatory: enrolling, changing the key, being forgotten."""

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec

from netwatch import __version__
from netwatch.agent.consent import CONSENT_VERSION
from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.enrollment_client import change_key as ask_for_key_change
from netwatch.agent.enrollment_client import enroll as ask_for_enrollment
from netwatch.agent.enrollment_client import erase as ask_for_erasure
from netwatch.agent.http_client import fetch
from netwatch.agent.identity import load_or_create_identity
from netwatch.app.targets import fetch_list, open_target_list_store
from netwatch.app.vantage_files import key_path, membership_file, membership_of, open_consent
from netwatch.config import Config
from netwatch.model.errors import ConfigError, TransportError
from netwatch.wire.enrollment import EnrollmentRequest, Invitation, check_url


def enroll_vantage(config: Config, token: str, *, url: str = "", region: str = "") -> Enrollment:
    """Enroll this vantage with the observatory that the token names, and keep what it tells.

    Args:
        config: the configuration.
        token: what the operator gave.
        url: the observatory's HTTP service, where the token's address does not do.
        region: the region, where the host wants to tell it.

    Raises:
        ConfigError: nobody here has agreed yet, or a file cannot be written.
        InputError: the token is none, or the observatory refuses.
        LinkError: nobody answered.
    """
    invitation = Invitation.parse(token)
    if url:
        invitation = msgspec.structs.replace(invitation, url=check_url(url))
    if open_consent(config).granted_at() is None:
        raise ConfigError("first read and agree: netwatch agent consent grant")
    request = EnrollmentRequest(
        secret=invitation.secret,
        collector=invitation.key,
        name=config.vantage.id,
        country=config.vantage.country,
        network=config.vantage.asn,
        region=region,
        consent=CONSENT_VERSION,
        software=__version__,
    )
    identity = load_or_create_identity(key_path(config))
    found = asyncio.run(ask_for_enrollment(invitation, request, identity, send=fetch))
    membership_file(config).write(found)
    # So that `explain` can tell at once; where there is no list yet, a later one comes by itself.
    with suppress(TransportError):
        asyncio.run(fetch_list(found, open_target_list_store(config)))
    return found


def change_key(config: Config) -> str:
    """Make a new key, have the observatory take it for the old one, and return its name.

    Asking again after a crash at any point goes on where it ended.

    Raises:
        ConfigError: this vantage is not enrolled, or a file cannot be written.
        InputError: the observatory refuses.
        LinkError: nobody answered.
    """
    enrolled = _demand_membership(config)
    path = key_path(config)
    waiting = path.with_name(path.name + ".new")
    old, new = load_or_create_identity(path), load_or_create_identity(waiting)
    name = config.vantage.id
    asyncio.run(ask_for_key_change(enrolled, name, old=old, new=new, send=fetch))
    _rename(waiting, path)
    return new.id


def erase_vantage(config: Config) -> None:
    """Have the observatory forget this vantage.

    Raises:
        ConfigError: this vantage is not enrolled, so that nobody can be asked.
        InputError: the observatory refuses.
        LinkError: nobody answered.
    """
    enrolled = _demand_membership(config)
    identity = load_or_create_identity(key_path(config))
    asyncio.run(ask_for_erasure(enrolled, config.vantage.id, identity, send=fetch))


def _demand_membership(config: Config) -> Enrollment:
    """Return what is known of the observatory; ConfigError where there is none."""
    enrolled = membership_of(config)
    if enrolled is None:
        raise ConfigError("this vantage is not enrolled; ask its operator for a token")
    return enrolled


def _rename(source: Path, place: Path) -> None:
    """Put a file in the place of another."""
    try:
        source.replace(place)
    except OSError as error:
        raise ConfigError(f"{place}: cannot be written: {error.strerror}") from error
