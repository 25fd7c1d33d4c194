"""What the links of a vantage load, and what they leave alone."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import netwatch.wire.{link}
print(sorted({{"dns.resolver", "aioquic", "httpx._main", "pygments", "numpy"}} & set(sys.modules)))
import dns.resolver, zstandard
print(dns.resolver.Resolver.__name__, bool(zstandard.__version__))
"""


@pytest.mark.parametrize("link", ["mqtt", "https"])
def test_what_is_of_no_use_is_not_loaded_and_not_lost(link: str) -> None:
    pytest.importorskip("zstandard")
    command = [sys.executable, "-c", PROGRAM.format(link=link)]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.stdout.splitlines() == ["[]", "Resolver True"], told.stderr
