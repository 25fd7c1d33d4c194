"""Enrollment of a vantage at an observatory, change of its key, and erasure."""

import asyncio
from contextlib import suppress

import msgspec

from netwatch import __version__
from netwatch.agent import enrollment_client as client
from netwatch.agent.consent import CONSENT_VERSION
from netwatch.agent.http_client import fetch
from netwatch.agent.identity import load_or_create_identity
from netwatch.agent.record_file import write_record
from netwatch.app.target_selection import fetch_target_list, open_target_list_store
from netwatch.app.vantage_files import enrollment_path, key_path, open_consent, read_enrollment
from netwatch.config import Config
from netwatch.model.errors import ConfigError, TransportError, os_errors_as
from netwatch.model.plaintext import refuse_plaintext
from netwatch.wire.enrollment import EnrollmentRequest, Invitation, check_url


def enroll_vantage(
    config: Config, token: str, *, url: str = "", region: str = ""
) -> client.Enrollment:
    """Enroll this vantage with the observatory that the token names.

    `url` replaces the address in the token; `region` is sent if the host wants to disclose it.

    Raises:
        ConfigError: consent is missing, a file cannot be written, or the observatory is another
            machine without TLS.
        InputError: the token is invalid, or the observatory refuses it.
        TransportError: the observatory cannot be reached.
    """
    invitation = Invitation.parse(token)
    if url:
        invitation = msgspec.structs.replace(invitation, url=check_url(url))
    refuse_plaintext(invitation.url, key="the observatory", insecure=config.broker.insecure)
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
    enrollment = asyncio.run(client.enroll(invitation, request, identity=identity, send=fetch))
    write_record(enrollment_path(config), enrollment)
    # For `explain` right after enrollment; without a list now, a running agent fetches it later.
    with suppress(TransportError):
        asyncio.run(fetch_target_list(enrollment, open_target_list_store(config)))
    return enrollment


def change_key(config: Config) -> str:
    """Replace the vantage's key here and at the observatory; return the new key's name.

    Safe to repeat after a crash at any point.

    Raises:
        ConfigError: this vantage is not enrolled, or a file cannot be written.
        InputError: the observatory refuses.
        TransportError: the observatory cannot be reached.
    """
    enrollment = _require_enrollment(config)
    path = key_path(config)
    new_path = path.with_name(path.name + ".new")
    old, new = load_or_create_identity(path), load_or_create_identity(new_path)
    request = client.change_key(enrollment, config.vantage.id, old=old, new=new, send=fetch)
    asyncio.run(request)
    with os_errors_as(ConfigError, f"{path}: cannot be written"):
        new_path.replace(path)
    return new.id


def erase_vantage(config: Config) -> None:
    """Have the observatory erase this vantage's key and data.

    Raises:
        ConfigError: this vantage is not enrolled.
        InputError: the observatory refuses.
        TransportError: the observatory cannot be reached.
    """
    enrollment = _require_enrollment(config)
    identity = load_or_create_identity(key_path(config))
    asyncio.run(client.erase(enrollment, config.vantage.id, identity=identity, send=fetch))


def _require_enrollment(config: Config) -> client.Enrollment:
    enrollment = read_enrollment(config)
    if enrollment is None:
        raise ConfigError("this vantage is not enrolled; ask its operator for a token")
    return enrollment
