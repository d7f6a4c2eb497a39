"""IP addresses and networks as texts.

IPv4 inside IPv6 (`::ffff:10.0.0.1`) is that IPv4 address, so that writing it so
hides nothing; a zone (`%eth0`) is left out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LONGEST_ADDRESS: Final = 64


@lru_cache(maxsize=8192)
def parse_address(text: str) -> tuple[int, int] | None:
    """Return (4 or 6, the address as a number), or None for what is no address."""
    address = _address(text)
    return None if address is None else (address.version, int(address))


def canonical_address(text: str) -> str | None:
    """Return the one text of an IP address, or None for what is no address."""
    address = _address(text)
    return None if address is None else str(address)


def compile_networks(networks: Sequence[str]) -> Callable[[str], bool]:
    """Return a test whether a text is an address in one of `networks`.

    Host bits are allowed (`10.6.48.157/8`).

    Raises:
        ValueError: a text is not a network.
    """
    ranges: list[tuple[int, int, int]] = []
    for text in networks:
        network = ipaddress.ip_network(text, strict=False)
        first, last = _plain(network.network_address), _plain(network.broadcast_address)
        if first.version != last.version:
            first, last = network.network_address, network.broadcast_address
            ranges.append((4, 0, 2**32 - 1))
        ranges.append((first.version, int(first), int(last)))

    def contains(text: str) -> bool:
        if (address := parse_address(text)) is None:
            return False
        version, number = address
        return any(v == version and low <= number <= high for v, low, high in ranges)

    return contains


def _address(text: str) -> _Address | None:
    if len(text) > _LONGEST_ADDRESS or not text.isascii():
        return None
    try:
        return _plain(ipaddress.ip_address(text.partition("%")[0] if ":" in text else text))
    except ValueError:
        return None


def _plain(address: _Address) -> _Address:
    inside = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return inside or address
