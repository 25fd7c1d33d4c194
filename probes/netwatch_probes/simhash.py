"""One number for what a page says, which alike pages have nearly in common."""

import re
from hashlib import blake2b

_WORD = re.compile(rb"\w+")
_LANES = 64
_LANE_BITS = 16
_MOST_WORDS = 2**_LANE_BITS // 2 - 1
# For each byte, its eight bits spread out, one a lane of 16 bits: sums of them never run over.
_SPREAD = tuple(
    sum((byte >> bit & 1) << bit * _LANE_BITS for bit in range(8)) for byte in range(256)
)


def simhash(text: bytes) -> int:
    """Return a 64-bit likeness of `text`: few bits differ where few words do.

    Moses Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002:
    bit i is set where more words have it set in their hash than not.
    """
    words = _WORD.findall(text)[:_MOST_WORDS]
    sums = [0] * 8
    for word in words:
        for place, byte in enumerate(blake2b(word, digest_size=8).digest()):
            sums[place] += _SPREAD[byte]
    mask = (1 << _LANE_BITS) - 1
    result = 0
    for lane in range(_LANES):
        count = sums[lane // 8] >> lane % 8 * _LANE_BITS & mask
        result |= (2 * count > len(words)) << lane
    return result
