"""The ways from an agent to its observatory, made from addresses such as `mqtts://host:8883`."""

import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from netwatch.agent.http_time import HttpTimeSource
from netwatch.agent.uplink.failover import Endpoint
from netwatch.app.broker import broker_password, link_factory
from netwatch.config import BrokerConfig, Config, UplinkConfig, resolve_secret
from netwatch.model.addresses import is_public_address, is_public_name
from netwatch.model.errors import ConfigError
from netwatch.protocols import Message, Transport
from netwatch.wire.https import HttpsTransport
from netwatch.wire.mqtt import MqttSession, MqttTransport

_log = logging.getLogger("netwatch.app.transports")
_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443, "http": 80, "https": 443}
_CLEAR = frozenset({"mqtt", "ws"})
_WEBSOCKET = "/mqtt"
_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class _Account:
    """How an agent is known, and whom it trusts, on one rung."""

    agent: str
    username: str
    password: str
    context: ssl.SSLContext | None
    patience: float


def endpoints(
    config: Config, *, brokers: Sequence[str] = (), url: str = "", patience: float = 10.0
) -> tuple[Endpoint, ...]:
    """Return the ways to the observatory, best rungs first.

    Each `[[uplink]]` is a rung. Without any, what the observatory named on enrollment counts:
    `brokers`, and its HTTP service at `url` at last, where that is not in the clear. Where it
    named no broker that can be used and the host set one, or without enrollment, `[broker]` is
    the only way. An answer is awaited for `patience` seconds.

    Raises:
        ConfigError: an address is none, a secret is not there, or a file of authorities is bad.
    """
    if rungs := _rungs(config, brokers, url):
        return tuple(
            way
            for place, rung in rungs
            for way in _rung(config, rung, place=place, patience=patience)
        )
    broker = config.broker
    connect = link_factory(broker, broker_password(config), agent=config.vantage.id)
    scheme = "mqtts" if broker.tls else "mqtt"
    return (Endpoint(f"{scheme}-{broker.port}", broker.host, connect),)


def endpoint_addresses(
    config: Config, *, brokers: Sequence[str] = (), url: str = ""
) -> tuple[tuple[str, str], ...]:
    """Return rung and `host:port` of each of `endpoints`, without a look at any secret.

    Raises:
        ConfigError: an address is none.
    """
    found: list[tuple[str, str]] = []
    for place, rung in _rungs(config, brokers, url):
        parsed = [_address(text, place) for text in rung.urls]
        found += [(_name(parsed[0]), f"{one.hostname}:{_port(one)}") for one in parsed]
    broker = config.broker
    scheme = "mqtts" if broker.tls else "mqtt"
    return tuple(found) or ((f"{scheme}-{broker.port}", f"{broker.host}:{broker.port}"),)


def time_sources(config: Config, url: str = "") -> tuple[HttpTimeSource, ...]:
    """Return the observatory's own web servers, whose word on the time may be taken.

    They are the https addresses among the ways to it, and its service at `url`.
    """
    found = [
        HttpTimeSource(one, rung.ca_file)
        for rung in config.uplink
        for one in rung.urls
        if one.startswith("https://")
    ]
    if url.startswith("https://"):
        found.append(HttpTimeSource(url))
    return tuple(found)


def _rungs(config: Config, brokers: Sequence[str], url: str) -> list[tuple[str, UplinkConfig]]:
    """Return where each rung is named, and the rung; none where `[broker]` is the only way."""
    if config.uplink:
        return [(f"uplink[{number}]", rung) for number, rung in enumerate(config.uplink)]
    doors = (url,) if url and _is_fit(url) else ()
    told = [text for text in brokers if _is_usable(text)]
    if told or (doors and config.broker == BrokerConfig()):
        name = config.broker.username
        return [("enrollment", UplinkConfig(urls=(one,), username=name)) for one in (*told, *doors)]
    return []


def _is_usable(text: str) -> bool:
    """Tell whether a broker that the observatory named may be used; say in one line why not.

    What somebody else wrote must neither stop this agent nor make it talk in the clear.
    """
    try:
        found = _address(text, "enrollment")
    except ConfigError as error:
        _log.warning("%s; skipped", error)
        return False
    if found.scheme in _CLEAR and _is_public(found.hostname or ""):
        _log.warning("enrollment.urls: %r would send in the clear; skipped", text[:300])
        return False
    return True


def _is_public(host: str) -> bool:
    """Tell whether a host is beyond this machine and the network that it is in."""
    try:
        return is_public_address(host)
    except ValueError:
        return is_public_name(host)


def _is_fit(url: str) -> bool:
    """Tell whether batches may go to an HTTP service: not in the clear, but on this machine."""
    found = urlsplit(url)
    return found.scheme == "https" or found.hostname in _LOCAL


def _rung(config: Config, rung: UplinkConfig, *, place: str, patience: float) -> list[Endpoint]:
    """Return the ways of one rung: its addresses, whose first names it."""
    account = _Account(
        config.vantage.id,
        rung.username or config.broker.username,
        resolve_secret(rung.password, key=f"{place}.password") or broker_password(config),
        _context(rung, place),
        patience,
    )
    parsed = [_address(text, place) for text in rung.urls]
    return [
        Endpoint(_name(parsed[0]), f"{one.hostname}:{_port(one)}", _connector(one, account))
        for one in parsed
    ]


def _name(address: SplitResult) -> str:
    return f"{address.scheme}-{_port(address)}"


def _port(address: SplitResult) -> int:
    return address.port or _PORTS[address.scheme]


def _address(text: str, place: str) -> SplitResult:
    """Return an address in its parts.

    Raises:
        ConfigError: it is none that we know a way to.
    """
    try:
        found = urlsplit(text)
        known = found.scheme in _PORTS and bool(found.hostname) and found.port != 0
    except ValueError:
        known = False
    if not known or found.username is not None:
        schemes = ", ".join(_PORTS)
        raise ConfigError(f"{place}.urls: {text!r} is no scheme://host:port with one of {schemes}")
    if found.scheme == "http" and found.hostname not in _LOCAL:
        raise ConfigError(f"{place}.urls: {text!r} would send in the clear; write https://")
    return found


def _connector(address: SplitResult, account: _Account) -> Callable[[Message | None], Transport]:
    """Return what makes a link to an address."""
    if address.scheme in {"http", "https"}:
        host = f"[{address.hostname}]" if ":" in (address.hostname or "") else address.hostname
        root = f"{address.scheme}://{host}:{_port(address)}{address.path}"
        return partial(_https, root, account)
    return partial(_mqtt, address, account)


def _https(root: str, account: _Account, _will: Message | None) -> Transport:
    """Make a link over HTTPS, which knows no last will."""
    return HttpsTransport(
        root, account.agent, tls=account.context or True, timeout=account.patience
    )


def _mqtt(address: SplitResult, account: _Account, will: Message | None) -> Transport:
    """Make a link over MQTT; only one that has a will takes up the agent's session."""
    tls = address.scheme in {"mqtts", "wss"}
    web = address.scheme in {"ws", "wss"}
    return MqttTransport(
        host=address.hostname or "",
        port=_port(address),
        username=account.username,
        password=account.password,
        tls=(account.context or True) if tls else False,
        path=(address.path or _WEBSOCKET) if web else "",
        session=MqttSession(account.agent) if will else None,
        will=will,
        timeout=account.patience,
    )


def _context(rung: UplinkConfig, place: str) -> ssl.SSLContext | None:
    """Return the TLS context that a rung asks for, None for the usual one.

    Raises:
        ConfigError: the file of authorities cannot be read, or holds none.
    """
    if not rung.ca_file and not rung.alpn:
        return None
    try:
        context = ssl.create_default_context(cafile=rung.ca_file or None)
    except OSError as error:
        name = Path(rung.ca_file)
        reason = error.strerror or "holds no certificate"
        raise ConfigError(f"{place}.ca_file: {name}: {reason}") from error
    if rung.alpn:
        context.set_alpn_protocols([rung.alpn])
    return context
