"""Explains a configuration before anything runs: what is probed, and every host contacted."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.agent.explain import ContactedHost, Explanation, explain
from netwatch.agent.health.gateway import Gateway, default_gateways
from netwatch.app.factories import make_probes
from netwatch.app.targets import choose_targets
from netwatch.app.transports import endpoint_addresses, time_sources
from netwatch.app.vantage import describe_vantage
from netwatch.app.vantage_files import read_enrollment
from netwatch.config import Config
from netwatch.model.addresses import is_loopback
from netwatch.model.measurement import Target
from netwatch.wire.enrollment import TARGET_LIST_PATH

_RESOLV_CONF = Path("/etc/resolv.conf")


def explain_vantage(config: Config) -> Explanation:
    """Return everything that an agent of this configuration probes, sends and contacts."""
    selection = choose_targets(config)
    explanation = explain(
        describe_vantage(config),
        selection.own,
        config.agent,
        probes=make_probes(config, (target.probe for target in selection.targets)),
        listed=selection.listed,
        skipped=selection.skipped,
    )
    return replace(explanation, contacts=list_contacts(config, selection.targets))


def list_contacts(
    config: Config,
    targets: Iterable[Target],
    *,
    find_gateways: Callable[[], dict[int, Gateway]] = default_gateways,
    resolv_conf: Path = _RESOLV_CONF,
) -> tuple[ContactedHost, ...]:
    """Return the hosts that an agent contacts in addition to its targets, without contacting them.

    Gateways and the resolvers named in `resolv_conf` are among them.
    """
    enrollment = read_enrollment(config)
    brokers, url = (enrollment.brokers, enrollment.url) if enrollment else ((), "")
    contacts: list[ContactedHost] = []
    addresses = endpoint_addresses(config, brokers=brokers, url=url)
    for number, (transport, address) in enumerate(addresses):
        when = "to send results" if number == 0 else "to send results if the above fail"
        contacts.append(ContactedHost("uplink", address, f"{when} ({transport})"))
    if url:
        when = "within a minute of the start and every three to nine hours, for the target list"
        contacts.append(ContactedHost("list", url + TARGET_LIST_PATH, when))
    when = "about once an hour while the clock is not set by acknowledgements"
    contacts += [ContactedHost("time", one.url, when) for one in time_sources(config, url)]
    if url:
        when = "only for `change-key` and `purge`"
        contacts.append(ContactedHost("enrollment", url, when))
    targets = tuple(targets)
    if not all(is_loopback(target.host) for target in targets):
        interval = config.agent.witness_period.total_seconds()
        contacts += _gateways(find_gateways(), interval)
    hosts = [target.host for target in targets] + [_host(one.address) for one in contacts]
    if any(_needs_resolving(host) for host in hosts):
        contacts += _resolvers(resolv_conf)
    return tuple(contacts)


def _gateways(gateways: dict[int, Gateway], interval: float) -> Iterator[ContactedHost]:
    when = f"every {interval:.0f} s, or its successor (ports 53, 80, 443)"
    addresses = [gateway.address for gateway in gateways.values() if gateway.address]
    for address in addresses or ["your own router"]:
        yield ContactedHost("router", address, when)


def _resolvers(path: Path) -> Iterator[ContactedHost]:
    lines: list[list[str]] = []
    with suppress(OSError, UnicodeDecodeError):
        lines = [line.split() for line in path.read_text().splitlines()]
    when = "to resolve the names above, as your system is configured"
    addresses = [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
    for address in addresses or ["your system's resolver"]:
        yield ContactedHost("resolver", address, when)


def _host(address: str) -> str:
    if "://" in address:
        return urlsplit(address).hostname or ""
    host, colon, port = address.rpartition(":")
    return host if colon and port.isdigit() and ":" not in host else address


def _needs_resolving(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return host not in {"", "localhost"} and " " not in host
    return False
