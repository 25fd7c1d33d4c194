"""Has this machine a way to an address? Asked of its own table, without a packet."""

import socket
from ipaddress import ip_address

_ANY = "192.0.2.1"
"""An address that nobody has (RFC 5737); the way to it is the way out."""
_DISCARD = 9


def has_route(host: str) -> bool:
    """Tell whether packets to `host` would leave this machine; a name stands for any address."""
    try:
        address = ip_address(host)
    except ValueError:
        address = ip_address(_ANY)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        # Connecting a datagram socket looks the route up and sends nothing.
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.connect((str(address), _DISCARD))
    except OSError:
        return False
    return True
