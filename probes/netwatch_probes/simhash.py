"""A similarity hash of a page: similar pages have similar hashes."""

import re
from hashlib import blake2b

_WORD = re.compile(rb"\w+")
_LANES = 64
_LANE_BITS = 16
_MAX_WORDS = 2**_LANE_BITS // 2 - 1
# For each byte, its eight bits spread over lanes of 16 bits, so that sums do not overflow.
_SPREAD = tuple(
    sum((byte >> bit & 1) << bit * _LANE_BITS for bit in range(8)) for byte in range(256)
)


def simhash(text: bytes) -> int:
    """Return a 64-bit hash of `text`: few bits differ if few words do.

    Moses Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002:
    bit i is set if most words have it set in their own hash.
    """
    words = _WORD.findall(text)[:_MAX_WORDS]
    sums = [0] * 8
    for word in words:
        for index, byte in enumerate(blake2b(word, digest_size=8).digest()):
            sums[index] += _SPREAD[byte]
    mask = (1 << _LANE_BITS) - 1
    result = 0
    for lane in range(_LANES):
        count = sums[lane // 8] >> lane % 8 * _LANE_BITS & mask
        result |= (2 * count > len(words)) << lane
    return result
