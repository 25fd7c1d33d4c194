"""Looks up the network (ASN) of an address in a local table.

The table has the format of CAIDA's RouteViews Prefix-to-AS data set: prefix, length and ASN,
separated by tabs. Of several ASNs (`1_2`, `1,2`) the first is used.
"""

from collections.abc import Collection
from ipaddress import ip_address
from pathlib import Path

_WIDTH = {4: 32, 6: 128}
_Row = tuple[int, int, int, int]
"""IP version, first address, prefix length, ASN."""


def lookup_asns(addresses: Collection[str], table: Path) -> dict[str, int]:
    """Return the ASN of each address that the table covers, by the longest matching prefix.

    The file is read from beginning to end: a table of the whole Internet takes about a second
    and no memory. Malformed lines are ignored; an unreadable file covers nothing.
    """
    parsed = {text: ip_address(text) for text in addresses}
    best: dict[str, tuple[int, int]] = {}
    try:
        with table.open(encoding="ascii", errors="replace") as lines:
            for version, prefix, length, asn in filter(None, map(_parse, lines)):
                shift = _WIDTH[version] - length
                for text, address in parsed.items():
                    covers = address.version == version and int(address) >> shift == prefix >> shift
                    if covers and length > best.get(text, (-1, 0))[0]:
                        best[text] = (length, asn)
    except OSError:
        return {}
    return {text: asn for text, (_, asn) in best.items()}


def _parse(line: str) -> _Row | None:
    try:
        prefix_text, length_text, asn_text = line.split()
        prefix, length = ip_address(prefix_text), int(length_text)
        asn = int(asn_text.replace(",", "_").split("_")[0])
    except ValueError:
        return None
    if not 0 <= length <= _WIDTH[prefix.version]:
        return None
    return prefix.version, int(prefix), length, asn
