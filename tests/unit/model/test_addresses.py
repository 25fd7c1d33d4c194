"""Which addresses and names lead out onto the public Internet, whatever they are wrapped in."""

import pytest

from netwatch.model.addresses import is_public_address, is_public_name


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "224.0.0.1", "fe80::1%eth0", "::10.0.0.1", "::ffff:10.0.0.1", "fec0::1",
     "64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::10.0.0.1", "2002:a00:1::1",
     "2002:808:808::1", "2001:0:808:808::1"],
)  # fmt: skip
def test_an_address_in_which_a_private_one_may_hide_is_not_public(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::8.8.8.8"])
def test_a_public_address_is_even_behind_a_translator(address: str) -> None:
    """A telephone without IPv4 sees every IPv4 host of the world in this range."""
    assert is_public_address(address)


def test_what_is_no_address_is_an_error() -> None:
    with pytest.raises(ValueError, match="example"):
        is_public_address("www.example.org")


@pytest.mark.parametrize("name", ["router", "nas.local", "a.corp", "b.alt.", "1.0.10.in-addr.ARPA"])
def test_names_of_somebodys_own_network(name: str) -> None:
    assert not is_public_name(name)
    assert is_public_name("www.example.org.")
