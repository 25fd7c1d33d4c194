"""Which addresses and names are the public Internet's, and which are of somebody's own network."""

from ipaddress import IPv6Address, ip_address, ip_network

_EMBEDS_IPV4 = tuple(
    map(ip_network, ("::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10"))
)
"""Ranges in which an IPv4 address, perhaps a private one, is hidden: IPv4-compatible (RFC 4291),
translated within a network (RFC 8215), Teredo (RFC 4380) and 6to4 (RFC 3056); and the private
range of before (RFC 3879)."""
_TRANSLATED = ip_network("64:ff9b::/96")
"""Here a network without IPv4 puts the public Internet's IPv4 addresses (RFC 6052)."""
_PRIVATE = frozenset(
    {"local", "localhost", "internal", "lan", "home", "corp", "arpa", "alt", "onion", "test"}
)
"""Last labels that are reserved (RFC 6761, 6762, 7686, 8375, 9476, and ICANN's decision on
`internal`), and those that routers and firms use within their own networks."""


def is_public_address(text: str) -> bool:
    """Tell whether an address is one host's on the public Internet, whatever it is wrapped in.

    Raises:
        ValueError: it is no address.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address in _TRANSLATED:
        return is_public_address(str(ip_address(int(address) & 0xFFFF_FFFF)))
    hidden = any(address in one for one in _EMBEDS_IPV4)
    return address.is_global and not address.is_multicast and not hidden


def is_public_name(host: str) -> bool:
    """Tell whether a name belongs to the public tree, and not to a network of somebody's own."""
    labels = host.lower().rstrip(".").split(".")
    return len(labels) > 1 and labels[-1] not in _PRIVATE
