"""The MQTT library, without what it would bring along for nothing.

paho looks for `dns.resolver` to find brokers by SRV records, which nobody here asks it to.
Where aioquic is installed that import alone takes a tenth of a second and 7 MB, an eighth of
what a vantage may take.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["PacketTypes", "Properties", "ReasonCode", "aiomqtt", "paho"]


@contextmanager
def _without(name: str) -> Iterator[None]:
    """Have a module look as if it were not installed, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    # The import system's own way to say that there is no such module.
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


with _without("dns.resolver"):
    import aiomqtt
    import paho.mqtt.client as paho
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode
