"""The broker as the configuration names it: one in this process, or one elsewhere."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from netwatch.agent.private_files import FOLDER_MODE
from netwatch.config import BrokerConfig, Config, resolve_secret
from netwatch.model.errors import ConfigError
from netwatch.protocols import Message, Transport
from netwatch.wire.mqtt import MqttSession, MqttTransport

_FILE = "broker.password"


def broker_password(config: Config) -> str:
    """Return the broker's password; `$NAME` is read from the environment.

    An embedded broker without one gets a random password, kept in the data folder for the
    processes of this machine that belong together; only their user can read it.

    Raises:
        ConfigError: the data folder cannot be written, or that variable is not set.
    """
    if config.broker.password or not config.broker.embedded:
        return resolve_secret(config.broker.password, key="broker.password")
    path = Path(config.data) / _FILE
    try:
        path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        if not path.exists():
            _write_secret(path, secrets.token_urlsafe(24))
        return path.read_text("ascii")
    except OSError as error:
        raise ConfigError(f"data = {config.data!r}: cannot be used: {error.strerror}") from error


def _write_secret(path: Path, secret: str) -> None:
    """Write `secret` so that it is whole or absent, and nobody else's to read.

    Of two processes that start at once the first one's stays, and both read that.
    """
    part = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret)
    with suppress(FileExistsError):
        path.hardlink_to(part)
    part.unlink()


def link_factory(
    broker: BrokerConfig, password: str, *, agent: str = ""
) -> Callable[[Message | None], Transport]:
    """Return a function that makes a link to the broker, with the given last will.

    The links of an `agent` that have a will take up its session, where the broker keeps any;
    the embedded one does not.
    """

    def connect(will: Message | None) -> Transport:
        return MqttTransport(
            host=broker.host,
            port=broker.port,
            username=broker.username,
            password=password,
            tls=broker.tls,
            session=MqttSession(agent) if agent and will and not broker.embedded else None,
            will=will,
        )

    return connect
