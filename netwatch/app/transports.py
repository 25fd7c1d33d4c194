"""Transports to the broker and to the observatory's HTTP service, built from the configuration.

An address is a URL such as `mqtts://host:8883`, `wss://host/mqtt` or `https://host`.
"""

import logging
import re
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import msgspec

from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.http_time import HttpTimeSource
from netwatch.agent.uplink.failover import Endpoint
from netwatch.app.vantage_files import data_folder
from netwatch.config import BrokerConfig, Config, UplinkConfig, resolve_secret
from netwatch.model.errors import ConfigError, os_errors_as
from netwatch.model.plaintext import is_plaintext, refuse_plaintext
from netwatch.protocols import Message, Transport
from netwatch.storage.private_files import write_private
from netwatch.wire.https import HttpsTransport
from netwatch.wire.mqtt import MqttSession, MqttTransport

_log = logging.getLogger("netwatch.app.transports")
_PASSWORD_FILE = "broker.password"  # noqa: S105 - the file's name
_PASSWORD = re.compile(rb"[A-Za-z0-9_-]{20,}")
"""What a password of ours looks like; a shorter one is what is left of it."""
_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443, "http": 80, "https": 443}
_WEBSOCKET_PATH = "/mqtt"


def broker_password(config: Config) -> str:
    """Return the broker's password; `$NAME` is read from the environment.

    An embedded broker without one gets a random password. It is kept in the data folder, where
    only the user of the observatory's processes can read it.

    Raises:
        ConfigError: the data folder cannot be written, the file is damaged, or the variable is
            not set.
    """
    if config.broker.password or not config.broker.embedded:
        return resolve_secret(config.broker.password, key="broker.password")
    path = data_folder(config) / _PASSWORD_FILE
    with os_errors_as(ConfigError, f"{path}: cannot be used"):
        if not path.exists():
            write_private(path, _new_password(), overwrite=False)
        password = path.read_bytes()
    if not _PASSWORD.fullmatch(password):
        raise ConfigError(f"{path}: is damaged; restart the process of the embedded broker")
    return password.decode()


def renew_damaged_password(config: Config) -> None:
    """Replace a damaged password file of the embedded broker; for the broker's process alone.

    Raises:
        ConfigError: it cannot be replaced.
    """
    path = data_folder(config) / _PASSWORD_FILE
    if config.broker.password or not path.exists():
        return
    with os_errors_as(ConfigError, f"{path}: cannot be used"):
        if _PASSWORD.fullmatch(path.read_bytes()):
            return
        write_private(path, _new_password())
    _log.warning("%s: was damaged, has a new password; restart the processes that use it", path)


def _new_password() -> bytes:
    return secrets.token_urlsafe(24).encode()


def broker_connector(config: Config) -> Callable[[Message | None], Transport]:
    """Return a function that makes a transport to the broker, with the given last will.

    Raises:
        ConfigError: the broker is another machine and `tls` is off, or the password is missing.
    """
    broker, password = config.broker, broker_password(config)
    refuse_plaintext(broker_url(broker), key="broker.tls", insecure=broker.insecure)

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
class UplinkAddress:
    """One address of the observatory.

    Attributes:
        name: names its entry in the list of preferences, after the entry's first address.
        url: the address, parsed.
        where: the entry's key in the configuration, for errors.
        config: the entry's options.
    """

    name: str
    url: SplitResult
    where: str
    config: UplinkConfig

    @property
    def host(self) -> str:
        """The address as `host:port`."""
        return f"{self.url.hostname}:{_port(self.url)}"


def endpoints(
    config: Config, enrollment: Enrollment | None = None, *, timeout: float = 10.0
) -> tuple[Endpoint, ...]:
    """Return the endpoints at `uplink_addresses`; `timeout` is in seconds, per request.

    Raises:
        ConfigError: an address, a password or a file of certificates cannot be used.
    """
    return tuple(
        Endpoint(address.name, address.host, _connector(address, config, timeout))
        for address in uplink_addresses(config, enrollment)
    )


def uplink_addresses(config: Config, enrollment: Enrollment | None) -> list[UplinkAddress]:
    """Return the addresses of the observatory in order of preference, without reading secrets.

    They are those of `[[uplink]]`. Without any, they are what the observatory named on
    enrollment: its brokers, then its HTTP service, without those that would send in plaintext.
    Otherwise, or if the host configured `[broker]` and no named broker can be used, the broker is
    the only one.

    Raises:
        ConfigError: an address is invalid, or would send in plaintext to another machine.
    """
    broker = config.broker
    if config.uplink:
        entries = [(f"uplink[{number}]", one) for number, one in enumerate(config.uplink)]
    elif urls := _enrolled_urls(config, enrollment):
        own = [UplinkConfig((url,), broker.username, insecure=broker.insecure) for url in urls]
        entries = [("enrollment", one) for one in own]
    else:
        url = broker_url(broker)
        entries = [("broker", UplinkConfig((url,), broker.username, insecure=broker.insecure))]
    addresses = []
    for where, entry in entries:
        parsed = [_parse_address(text, where) for text in entry.urls]
        for text in entry.urls:
            refuse_plaintext(text, key=f"{where}.urls", insecure=entry.insecure)
        name = f"{parsed[0].scheme}-{_port(parsed[0])}"
        addresses += [UplinkAddress(name, url, where, entry) for url in parsed]
    return addresses


def broker_url(broker: BrokerConfig) -> str:
    """Return the URL of the configured broker."""
    scheme = "mqtts" if broker.tls else "mqtt"
    host = f"[{broker.host}]" if ":" in broker.host else broker.host
    return f"{scheme}://{host}:{broker.port}"


def time_sources(config: Config, enrollment: Enrollment | None) -> tuple[HttpTimeSource, ...]:
    """Return the observatory's own https servers, whose `Date` header is trusted.

    They are the https addresses of `[[uplink]]`, and the HTTP service named on enrollment.
    """
    sources = [
        HttpTimeSource(address, uplink.ca_file)
        for uplink in config.uplink
        for address in uplink.urls
        if address.startswith("https://")
    ]
    if enrollment and enrollment.url.startswith("https://"):
        sources.append(HttpTimeSource(enrollment.url))
    return tuple(sources)


def _enrolled_urls(config: Config, enrollment: Enrollment | None) -> list[str]:
    if enrollment is None:
        return []
    insecure = config.broker.insecure
    urls = [url for url in enrollment.brokers if _is_usable(url, insecure=insecure)]
    has_default = msgspec.structs.replace(config.broker, insecure=False) == BrokerConfig()
    may_send = insecure or not is_plaintext(urlsplit(enrollment.url))
    if may_send and (urls or has_default):
        urls.append(enrollment.url)
    return urls


def _is_usable(text: str, *, insecure: bool) -> bool:
    """Check a broker that the observatory named; log why it cannot be used.

    A value from elsewhere must neither stop the agent nor make it send in plaintext.
    """
    try:
        address = _parse_address(text, "enrollment")
    except ConfigError as error:
        _log.warning("%s; skipped", error)
        return False
    if is_plaintext(address) and not insecure:
        _log.warning("enrollment.urls: %r would send in plaintext; skipped", text[:300])
        return False
    return True


def _port(address: SplitResult) -> int:
    return address.port or _DEFAULT_PORTS[address.scheme]


def _parse_address(text: str, where: str) -> SplitResult:
    """Return an address in its parts.

    Raises:
        ConfigError: it is not an address of a known scheme.
    """
    try:
        address = urlsplit(text)
        valid = address.scheme in _DEFAULT_PORTS and bool(address.hostname) and address.port != 0
    except ValueError:
        valid = False
    if not valid or address.username is not None:
        schemes = ", ".join(_DEFAULT_PORTS)
        raise ConfigError(f"{where}.urls: {text!r} is not scheme://host:port with one of {schemes}")
    return address


def _connector(
    address: UplinkAddress, config: Config, timeout: float
) -> Callable[[Message | None], Transport]:
    """Return a function that makes a transport; only one with a will resumes the MQTT session."""
    agent, context, url = config.vantage.id, _tls_context(address), address.url
    password = resolve_secret(address.config.password, key=f"{address.where}.password")
    password = password or broker_password(config)
    if url.scheme in {"http", "https"}:
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
        root = f"{url.scheme}://{host}:{_port(url)}{url.path}"
        return lambda _will: HttpsTransport(root, agent, tls=context or True, timeout=timeout)
    is_websocket = url.scheme in {"ws", "wss"}
    # The embedded broker keeps no sessions.
    has_sessions = address.where != "broker" or not config.broker.embedded

    def connect(will: Message | None) -> Transport:
        return MqttTransport(
            host=url.hostname or "",
            port=_port(url),
            username=address.config.username or config.broker.username,
            password=password,
            tls=url.scheme in {"mqtts", "wss"} and (context or True),
            path=(url.path or _WEBSOCKET_PATH) if is_websocket else "",
            session=MqttSession(agent) if will and has_sessions else None,
            will=will,
            timeout=timeout,
        )

    return connect


def _tls_context(address: UplinkAddress) -> ssl.SSLContext | None:
    """Return the TLS context of an uplink, None for the default one.

    Raises:
        ConfigError: the file of certificates cannot be read, or holds none.
    """
    ca_file, alpn = address.config.ca_file, address.config.alpn
    if not ca_file and not alpn:
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        reason = error.strerror or "holds no certificate"
        raise ConfigError(f"{address.where}.ca_file: {ca_file}: {reason}") from error
    if alpn:
        context.set_alpn_protocols([alpn])
    return context
