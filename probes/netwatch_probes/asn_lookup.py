"""Which network an address belongs to, by a table on this machine.

The table is a text file of prefixes as CAIDA's RouteViews Prefix-to-AS data set writes them:
prefix, length and network number, by tabs. Where a prefix has several networks (`1_2`, `1,2`)
the first is taken.
"""

from collections.abc import Collection
from ipaddress import ip_address
from pathlib import Path

_WIDTH = {4: 32, 6: 128}


def lookup_asns(addresses: Collection[str], table: Path) -> dict[str, int]:
    """Return the network number of each address that the table knows.

    The file is read from beginning to end and nothing of it is kept: a table of the whole
    Internet takes a second once, and no memory. A line that is none is passed over; a table
    that cannot be read knows nobody.
    """
    parsed = [ip_address(text) for text in addresses]
    wanted: dict[tuple[int, int], str] = {(one.version, int(one)): str(one) for one in parsed}
    found: dict[str, tuple[int, int]] = {}
    try:
        with table.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                row = _parse(line)
                if row is not None:
                    _match(row, wanted, found)
    except OSError:
        return {}
    return {address: network for address, (_, network) in found.items()}


_Row = tuple[int, int, int, int]


def _parse(line: str) -> _Row | None:
    """Return family, first address, prefix length and network; None for no such line."""
    fields = line.split()
    if len(fields) != 3:
        return None
    try:
        prefix, length = ip_address(fields[0]), int(fields[1])
        network = int(fields[2].replace(",", "_").split("_")[0])
    except ValueError:
        return None
    return (prefix.version, int(prefix), length, network)


def _match(
    row: _Row, wanted: dict[tuple[int, int], str], found: dict[str, tuple[int, int]]
) -> None:
    """Note `row` for the addresses that it covers more narrowly than what was found."""
    version, prefix, length, network = row
    shift = _WIDTH[version] - length
    if shift < 0:
        return
    for (family, number), address in wanted.items():
        narrower = length > found.get(address, (-1, 0))[0]
        if family == version and number >> shift == prefix >> shift and narrower:
            found[address] = (length, network)
