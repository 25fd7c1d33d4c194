"""What a link over MQTT loads, and what it leaves alone."""

import subprocess
import sys

PROGRAM = """
import sys
import netwatch.wire.mqtt
print(sorted({"dns.resolver", "aioquic", "numpy", "pandas"} & set(sys.modules)))
import dns.resolver
print(dns.resolver.Resolver.__name__)
"""


def test_no_resolver_is_loaded_and_none_is_lost() -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True
    )
    assert told.stdout.splitlines() == ["[]", "Resolver"], told.stderr
