"""Everything that a vantage contacts, told before it does: its targets, and whom beside them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.agent.explain import ContactedHost, Explanation, explain
from netwatch.agent.health.gateway import Gateway, default_gateways
from netwatch.app.factories import make_probes
from netwatch.app.targets import chosen_targets
from netwatch.app.transports import endpoint_addresses, time_sources
from netwatch.app.vantage_files import membership_of
from netwatch.config import Config
from netwatch.model.addresses import is_loopback
from netwatch.model.measurement import Target, Vantage
from netwatch.wire.enrollment import TARGET_LIST_PATH

_RESOLVERS = Path("/etc/resolv.conf")


def explain_vantage(config: Config) -> Explanation:
    """Return everything that an agent of this configuration does and contacts."""
    chosen = chosen_targets(config)
    place = config.vantage
    told = explain(
        Vantage(place.id, place.country, place.asn),
        chosen.own,
        config.agent,
        probes=make_probes(config, (one.probe for one in chosen.targets)),
        listed=chosen.taken,
        skipped=chosen.left,
    )
    return replace(told, contacts=list_endpoints(config, chosen.targets))


def list_endpoints(
    config: Config,
    targets: Iterable[Target],
    *,
    look: Callable[[], dict[int, Gateway]] = default_gateways,
    resolvers: Path = _RESOLVERS,
) -> tuple[ContactedHost, ...]:
    """Return whom an agent contacts beside its targets; asks nobody.

    Args:
        config: the configuration.
        targets: what it probes.
        look: returns the default routes.
        resolvers: the file that names the system's resolvers.

    Raises:
        ConfigError: an address of a way to the observatory is none.
    """
    enrolled = membership_of(config)
    brokers, url = (enrolled.brokers, enrolled.url) if enrolled else ((), "")
    found: list[ContactedHost] = []
    for number, (rung, place) in enumerate(endpoint_addresses(config, brokers=brokers, url=url)):
        when = "while it runs, to send results" if number == 0 else "where those above do not work"
        found.append(ContactedHost("uplink", place, f"{when} ({rung})"))
    if url:
        when = "within a minute of its start and every three to nine hours, for the target list"
        found.append(ContactedHost("list", url + TARGET_LIST_PATH, when))
    when = "about once an hour while no answer to its batches tells the time"
    found += [ContactedHost("time", one.url, when) for one in time_sources(config, url)]
    if url:
        found.append(ContactedHost("membership", url, "only when you say change-key or purge"))
    targets = tuple(targets)
    if not all(is_loopback(one.host) for one in targets):
        found += _routers(look(), config.agent.witness_period.total_seconds())
    hosts = [one.host for one in targets] + [_host(one.address) for one in found]
    if any(_is_name(host) for host in hosts):
        found += _resolvers(resolvers)
    return tuple(found)


def _routers(gateways: dict[int, Gateway], seconds: float) -> Iterator[ContactedHost]:
    """Yield the routers that are there now; which they are changes with the line."""
    when = f"every {seconds:.0f} s, whichever is your own then (ports 53, 80, 443)"
    addresses = [one.address for one in gateways.values() if one.address]
    for address in addresses or ["your own router"]:
        yield ContactedHost("router", address, when)


def _resolvers(path: Path) -> Iterator[ContactedHost]:
    """Yield those whom the system asks for names, as far as it says."""
    lines: list[list[str]] = []
    with suppress(OSError, UnicodeDecodeError):
        lines = [line.split() for line in path.read_text().splitlines()]
    when = "whenever one of the names here is looked up, as your system does it"
    addresses = [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
    for address in addresses or ["your system's resolver"]:
        yield ContactedHost("resolver", address, when)


def _host(address: str) -> str:
    """Return the host of a contact's address."""
    if "://" in address:
        return urlsplit(address).hostname or ""
    host, colon, port = address.rpartition(":")
    return host if colon and port.isdigit() and ":" not in host else address


def _is_name(host: str) -> bool:
    """Tell whether somebody must be asked where a host is."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return host not in {"", "localhost"} and " " not in host
    return False
