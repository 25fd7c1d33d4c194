"""Modules that the transports of a vantage import, and avoid."""

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
def test_unused_modules_are_not_imported_but_stay_available(link: str) -> None:
    pytest.importorskip("zstandard")
    command = [sys.executable, "-c", PROGRAM.format(link=link)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.stdout.splitlines() == ["[]", "Resolver True"], result.stderr
