"""The MQTT library, without what it would bring along for nothing.

paho looks for `dns.resolver` to find brokers by SRV records, which nobody here asks it to.
Where aioquic is installed that import alone takes a tenth of a second and 7 MB, an eighth of
what a vantage may take.
"""

from netwatch.lean import without

__all__ = ["PacketTypes", "Properties", "ReasonCode", "aiomqtt", "paho"]

with without("dns.resolver"):
    import aiomqtt
    import paho.mqtt.client as paho
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode
