"""IP addresses and networks."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.addresses import canonical_address, compile_networks, parse_address


@pytest.mark.parametrize(
    ("networks", "address", "inside"),
    [
        (("10.6.48.157/8",), "10.255.0.1", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
        (("10.0.0.0/8",), "::FFFF:0a00:0001", True),
        (("::ffff:10.0.0.0/104",), "10.0.0.1", True),
        (("::/0",), "10.0.0.1", True),
        (("::/0",), "fe80::1", True),
        (("0.0.0.0/0",), "fe80::1", False),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("10.0.0.0/8", "192.168.0.0/16"), "192.168.1.1", True),
        (("10.0.0.0/8",), "10.0.0.1/32", False),
        (("10.0.0.0/8",), "", False),
        (("10.0.0.0/8",), "x" * 100_000, False),
    ],
)
def test_addresses_in_networks(networks: tuple[str, ...], address: str, inside: bool) -> None:
    assert compile_networks(networks)(address) is inside


def test_a_bad_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/33"):
        compile_networks(["10.0.0.0/33"])


@given(st.ip_addresses())
def test_the_canonical_text_is_an_address_of_the_same_number(address: object) -> None:
    text = canonical_address(str(address))
    assert text is not None
    assert canonical_address(text) == text
    assert parse_address(text) == parse_address(str(address))


@given(st.text())
def test_any_text_is_an_address_or_not(text: str) -> None:
    assert (canonical_address(text) is None) == (parse_address(text) is None)


def test_long_texts_are_not_remembered() -> None:
    inside = compile_networks(["10.0.0.0/8"])
    tracemalloc.start()
    try:
        for number in range(200):
            assert not inside(f"{number}" * 50_000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
