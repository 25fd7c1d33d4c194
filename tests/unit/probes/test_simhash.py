from random import Random

from netwatch_probes.simhash import simhash


def distance(one: bytes, other: bytes) -> int:
    return (simhash(one) ^ simhash(other)).bit_count()


def page(seed: int, words: int = 300) -> list[bytes]:
    random = Random(seed)
    return [b"%x" % random.getrandbits(24) for _ in range(words)]


def test_similar_pages_have_similar_hashes() -> None:
    first = page(1)
    changed = [*first[:5], b"changed", *first[6:]]
    assert simhash(b" ".join(first)) == simhash(b"\n".join(first))
    assert distance(b" ".join(first), b" ".join(changed)) < 8
    assert distance(b" ".join(first), b" ".join(page(2))) > 16


def test_empty_and_binary_bodies() -> None:
    assert simhash(b"") == 0
    assert 0 <= simhash(bytes(range(256)) * 64) < 2**64


def test_each_bit_is_the_majority_of_the_words() -> None:
    """The hash of one word is its own; of three, the majority decides."""
    one, two = simhash(b"one"), simhash(b"two")
    assert simhash(b"one one two") == one
    assert simhash(b"two one two") == two
