"""Explains a configuration before anything runs: what is probed, and every host contacted."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.agent.explain import ContactedHost, Explanation, explain
from netwatch.agent.health.gateway import Gateway, default_gateways
from netwatch.app.factories import make_probes
from netwatch.app.target_selection import choose_targets
from netwatch.app.transports import time_sources, uplink_addresses
from netwatch.app.vantage import describe_vantage
from netwatch.app.vantage_files import read_enrollment
from netwatch.config import Config
from netwatch.model.addresses import is_loopback, parse_address
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
    url = enrollment.url if enrollment else ""
    uplinks, sources = uplink_addresses(config, enrollment), time_sources(config, enrollment)
    contacts: list[ContactedHost] = []
    for number, address in enumerate(uplinks):
        when = "to send results" if number == 0 else "to send results if the above fail"
        contacts.append(ContactedHost("uplink", address.host, f"{when} ({address.name})"))
    if url:
        when = "within a minute of the start and every three to nine hours, for the target list"
        contacts.append(ContactedHost("list", url + TARGET_LIST_PATH, when))
    when = "about once an hour while the clock is not set by acknowledgements"
    contacts += [ContactedHost("time", one.url, when) for one in sources]
    if url:
        when = "only for `change-key` and `purge`"
        contacts.append(ContactedHost("enrollment", url, when))
    targets = tuple(targets)
    if not all(is_loopback(target.host) for target in targets):
        interval = config.agent.witness_period.total_seconds()
        contacts += _gateways(find_gateways(), interval)
    hosts = [target.host for target in targets] + [address.url.hostname for address in uplinks]
    hosts += [urlsplit(address).hostname for address in (url, *(one.url for one in sources))]
    if any(_needs_resolving(host or "") for host in hosts):
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


def _needs_resolving(host: str) -> bool:
    return parse_address(host.strip("[]")) is None and host not in {"", "localhost"}
