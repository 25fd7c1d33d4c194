"""Imports aiomqtt, paho and httpx without the optional modules that netwatch never uses.

A vantage's memory is small. paho imports `dns.resolver` for SRV records (7 MB and a tenth of a
second where aioquic is installed), httpx its command line where rich and pygments are installed
(5 MB) and zstandard.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["PacketTypes", "Properties", "ReasonCode", "aiomqtt", "httpx", "paho"]


@contextmanager
def hide_module(name: str) -> Iterator[None]:
    """Make `import name` raise ModuleNotFoundError inside the block, unless already imported."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # how the import system marks absence
    try:
        yield
    finally:
        del sys.modules[name]


with hide_module("dns.resolver"):
    import aiomqtt
    import paho.mqtt.client as paho
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

with hide_module("httpx._main"), hide_module("zstandard"):
    import httpx
