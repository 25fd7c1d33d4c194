import pytest

from netwatch.model.errors import InputError
from netwatch.wire.ack import ACKNOWLEDGEMENT, Ack, merge_ranges


def test_an_acknowledgement_round_trips() -> None:
    ack = Ack("a1", ((1, 3), (7, 7)), ((9, "future"),), 1_700_000_000_000)
    assert ACKNOWLEDGEMENT.unpack(ACKNOWLEDGEMENT.pack(ack)) == (ack, None)


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x80", b"x" * 70_000])
def test_garbage_is_an_input_error(garbage: bytes) -> None:
    with pytest.raises(InputError):
        ACKNOWLEDGEMENT.unpack(garbage)


def test_ranges_are_inclusive_and_in_order() -> None:
    sequences = [5, 1, 2, 3, 7, 2]
    assert merge_ranges((one, one) for one in sequences) == ((1, 3), (5, 5), (7, 7))


def test_merged_ranges_neither_touch_nor_overlap() -> None:
    assert merge_ranges([(7, 9), (1, 3), (4, 5), (2, 2)]) == ((1, 5), (7, 9))
    assert merge_ranges([(1, 9), (2, 3)]) == ((1, 9),)
    assert merge_ranges([]) == ()
