"""Transports to the broker and to the observatory's HTTP service, built from the configuration.

An address is a URL such as `mqtts://host:8883`, `wss://host/mqtt` or `https://host`.
"""

import logging
import os
import secrets
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from netwatch.agent.http_time import HttpTimeSource
from netwatch.agent.private_files import FOLDER_MODE
from netwatch.agent.uplink.failover import Endpoint
from netwatch.config import BrokerConfig, Config, UplinkConfig, resolve_secret
from netwatch.model.addresses import is_public_address, is_public_name
from netwatch.model.errors import ConfigError
from netwatch.protocols import Message, Transport
from netwatch.wire.https import HttpsTransport
from netwatch.wire.mqtt import MqttSession, MqttTransport

_log = logging.getLogger("netwatch.app.transports")
_PASSWORD_FILE = "broker.password"  # noqa: S105 - the file's name
_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443, "http": 80, "https": 443}
_PLAINTEXT_SCHEMES = frozenset({"mqtt", "ws"})
_WEBSOCKET_PATH = "/mqtt"
_LOCAL_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


def broker_password(config: Config) -> str:
    """Return the broker's password; `$NAME` is read from the environment.

    An embedded broker without one gets a random password. It is kept in the data folder, where
    only the user of the observatory's processes can read it.

    Raises:
        ConfigError: the data folder cannot be written, or the variable is not set.
    """
    if config.broker.password or not config.broker.embedded:
        return resolve_secret(config.broker.password, key="broker.password")
    path = Path(config.data) / _PASSWORD_FILE
    try:
        path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        if not path.exists():
            _write_secret(path, secrets.token_urlsafe(24))
        return path.read_text("ascii")
    except OSError as error:
        raise ConfigError(f"data = {config.data!r}: cannot be used: {error.strerror}") from error


def _write_secret(path: Path, secret: str) -> None:
    """Write `secret` atomically; if two processes do so at once, the first one's is kept."""
    part = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret)
    with suppress(FileExistsError):
        path.hardlink_to(part)
    part.unlink()


def broker_connector(config: Config) -> Callable[[Message | None], Transport]:
    """Return a function that makes a transport to the broker, with the given last will."""
    broker, password = config.broker, broker_password(config)

    def connect(will: Message | None) -> Transport:
        return MqttTransport(
            host=broker.host,
            port=broker.port,
            username=broker.username,
            password=password,
            tls=broker.tls,
            will=will,
        )

    return connect


@dataclass(frozen=True, slots=True)
class _Uplink:
    """One entry of the list of preferences: where it is configured, and its addresses.

    Attributes:
        where: its key in the configuration, for errors.
        config: its options; the first URL names the entry.
        addresses: its URLs, parsed.
        has_sessions: whether the broker keeps sessions; the embedded one does not.
    """

    where: str
    config: UplinkConfig
    addresses: tuple[SplitResult, ...]
    has_sessions: bool = True

    @property
    def name(self) -> str:
        return f"{self.addresses[0].scheme}-{_port(self.addresses[0])}"


def endpoints(
    config: Config, *, brokers: Sequence[str] = (), url: str = "", timeout: float = 10.0
) -> tuple[Endpoint, ...]:
    """Return the endpoints of the observatory in order of preference.

    They are those of `[[uplink]]`. Without any, they are what the observatory named on
    enrollment: its `brokers`, then its HTTP service at `url` if that is encrypted or local.
    Otherwise, or if the host configured `[broker]` and no named broker can be used, the broker
    is the only endpoint. `timeout` is in seconds, per request.
    """
    return tuple(
        Endpoint(
            uplink.name,
            f"{address.hostname}:{_port(address)}",
            _connector(address, uplink, config, timeout),
        )
        for uplink in _uplinks(config, brokers, url)
        for address in uplink.addresses
    )


def endpoint_addresses(
    config: Config, *, brokers: Sequence[str] = (), url: str = ""
) -> tuple[tuple[str, str], ...]:
    """Return name and `host:port` of each of `endpoints`, without reading secrets."""
    return tuple(
        (uplink.name, f"{address.hostname}:{_port(address)}")
        for uplink in _uplinks(config, brokers, url)
        for address in uplink.addresses
    )


def time_sources(config: Config, url: str = "") -> tuple[HttpTimeSource, ...]:
    """Return the observatory's own https servers, whose `Date` header is trusted.

    They are the https addresses of `[[uplink]]`, and the HTTP service at `url`.
    """
    found = [
        HttpTimeSource(address, uplink.ca_file)
        for uplink in config.uplink
        for address in uplink.urls
        if address.startswith("https://")
    ]
    if url.startswith("https://"):
        found.append(HttpTimeSource(url))
    return tuple(found)


def _uplinks(config: Config, brokers: Sequence[str], url: str) -> list[_Uplink]:
    if config.uplink:
        return [_parse(f"uplink[{number}]", one) for number, one in enumerate(config.uplink)]
    broker = config.broker
    named = [text for text in brokers if _is_usable(text)]
    if named or (url and _may_send_to(url) and broker == BrokerConfig()):
        if url and _may_send_to(url):
            named.append(url)
        return [
            _parse("enrollment", UplinkConfig(urls=(text,), username=broker.username))
            for text in named
        ]
    scheme = "mqtts" if broker.tls else "mqtt"
    host = f"[{broker.host}]" if ":" in broker.host else broker.host
    only = UplinkConfig(urls=(f"{scheme}://{host}:{broker.port}",), username=broker.username)
    return [_parse("broker", only, has_sessions=not broker.embedded)]


def _parse(where: str, config: UplinkConfig, *, has_sessions: bool = True) -> _Uplink:
    addresses = tuple(_parse_address(text, where) for text in config.urls)
    return _Uplink(where, config, addresses, has_sessions)


def _is_usable(text: str) -> bool:
    """Check a broker that the observatory named; log why it cannot be used.

    A value from elsewhere must neither stop the agent nor make it send in plaintext.
    """
    try:
        address = _parse_address(text, "enrollment")
    except ConfigError as error:
        _log.warning("%s; skipped", error)
        return False
    if address.scheme in _PLAINTEXT_SCHEMES and _is_public(address.hostname or ""):
        _log.warning("enrollment.urls: %r would send in plaintext; skipped", text[:300])
        return False
    return True


def _is_public(host: str) -> bool:
    try:
        return is_public_address(host)
    except ValueError:
        return is_public_name(host)


def _may_send_to(url: str) -> bool:
    address = urlsplit(url)
    return address.scheme == "https" or address.hostname in _LOCAL_HOSTS


def _port(address: SplitResult) -> int:
    return address.port or _DEFAULT_PORTS[address.scheme]


def _parse_address(text: str, where: str) -> SplitResult:
    """Return an address in its parts.

    Raises:
        ConfigError: it is not an address of a known scheme, or it would send in plaintext.
    """
    try:
        address = urlsplit(text)
        valid = address.scheme in _DEFAULT_PORTS and bool(address.hostname) and address.port != 0
    except ValueError:
        valid = False
    if not valid or address.username is not None:
        schemes = ", ".join(_DEFAULT_PORTS)
        raise ConfigError(f"{where}.urls: {text!r} is not scheme://host:port with one of {schemes}")
    if address.scheme == "http" and address.hostname not in _LOCAL_HOSTS:
        raise ConfigError(f"{where}.urls: {text!r} would send in plaintext; write https://")
    return address


def _connector(
    address: SplitResult, uplink: _Uplink, config: Config, timeout: float
) -> Callable[[Message | None], Transport]:
    """Return a function that makes a transport; only one with a will resumes the MQTT session."""
    agent, context = config.vantage.id, _tls_context(uplink)
    password = resolve_secret(uplink.config.password, key=f"{uplink.where}.password")
    password = password or broker_password(config)
    if address.scheme in {"http", "https"}:
        host = f"[{address.hostname}]" if ":" in (address.hostname or "") else address.hostname
        root = f"{address.scheme}://{host}:{_port(address)}{address.path}"
        return lambda _will: HttpsTransport(root, agent, tls=context or True, timeout=timeout)
    is_websocket = address.scheme in {"ws", "wss"}

    def connect(will: Message | None) -> Transport:
        return MqttTransport(
            host=address.hostname or "",
            port=_port(address),
            username=uplink.config.username or config.broker.username,
            password=password,
            tls=address.scheme in {"mqtts", "wss"} and (context or True),
            path=(address.path or _WEBSOCKET_PATH) if is_websocket else "",
            session=MqttSession(agent) if will and uplink.has_sessions else None,
            will=will,
            timeout=timeout,
        )

    return connect


def _tls_context(uplink: _Uplink) -> ssl.SSLContext | None:
    """Return the TLS context of an uplink, None for the default one.

    Raises:
        ConfigError: the file of certificates cannot be read, or holds none.
    """
    ca_file, alpn = uplink.config.ca_file, uplink.config.alpn
    if not ca_file and not alpn:
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        reason = error.strerror or "holds no certificate"
        raise ConfigError(f"{uplink.where}.ca_file: {ca_file}: {reason}") from error
    if alpn:
        context.set_alpn_protocols([alpn])
    return context
