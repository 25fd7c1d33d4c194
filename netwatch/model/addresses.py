"""Distinguishes public Internet addresses and names from private ones."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_EMBEDS_IPV4 = tuple(
    map(ip_network, ("::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10"))
)
"""IPv6 ranges that embed an IPv4 address, possibly a private one: IPv4-compatible (RFC 4291), local
translation (RFC 8215), Teredo (RFC 4380), 6to4 (RFC 3056); and site-local addresses (RFC 3879)."""
_NAT64 = ip_network("64:ff9b::/96")
"""Public IPv4 addresses as an IPv6-only network maps them (RFC 6052)."""
_PRIVATE_SUFFIXES = frozenset(
    {"local", "localhost", "internal", "lan", "home", "corp", "arpa", "alt", "onion", "test"}
)
"""Reserved top-level labels (RFC 6761, 6762, 7686, 8375, 9476, and ICANN's decision on `internal`)
and those that routers and companies use in private networks."""


@lru_cache(maxsize=10_000)
def parse_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return a literal IP address, None for a host name. Results are cached."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def address_family(host: str) -> int:
    """Return 6 for a literal IPv6 address, 4 for anything else."""
    address = parse_address(host)
    return 4 if address is None else address.version


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine itself."""
    address = parse_address(host)
    return host == "localhost" if address is None else address.is_loopback


def is_public_address(text: str) -> bool:
    """Return whether a public unicast address; embedded IPv4 addresses are checked too.

    Raises ValueError for what is not an address.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address in _NAT64:
        return is_public_address(str(ip_address(int(address) & 0xFFFF_FFFF)))
    if any(address in network for network in _EMBEDS_IPV4):
        return False
    return address.is_global and not address.is_multicast


def is_public_name(host: str) -> bool:
    """Return whether a name belongs to the public DNS."""
    labels = host.lower().rstrip(".").split(".")
    return len(labels) > 1 and labels[-1] not in _PRIVATE_SUFFIXES
