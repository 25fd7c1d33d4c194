"""Public, private and loopback addresses and names, embedded ones included."""

import pytest

from netwatch.model.addresses import (
    address_family,
    is_loopback,
    is_public_address,
    is_public_name,
)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "224.0.0.1", "fe80::1%eth0", "::10.0.0.1", "::ffff:10.0.0.1", "fec0::1",
     "64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::10.0.0.1", "2002:a00:1::1",
     "2002:808:808::1", "2001:0:808:808::1"],
)  # fmt: skip
def test_an_address_that_may_embed_a_private_one_is_not_public(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::8.8.8.8"])
def test_a_translated_public_address_is_public(address: str) -> None:
    """An IPv6-only network maps every IPv4 host into this range."""
    assert is_public_address(address)


def test_a_name_is_not_an_address() -> None:
    with pytest.raises(ValueError, match="example"):
        is_public_address("www.example.org")


@pytest.mark.parametrize("name", ["router", "nas.local", "a.corp", "b.alt.", "1.0.10.in-addr.ARPA"])
def test_names_of_private_networks(name: str) -> None:
    assert not is_public_name(name)
    assert is_public_name("www.example.org.")


def test_address_families() -> None:
    assert [address_family(one) for one in ("192.0.2.1", "2001:db8::2", "example.org")] == [4, 6, 4]


def test_loopback_addresses() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("192.0.2.1", "2001:db8::2", "example.org"))
