"""IP addresses and networks as texts.

IPv4 inside IPv6 (`::ffff:10.0.0.1`) is that IPv4 address, so that writing it so
hides nothing; a zone (`%eth0`) is left out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

_LONGEST_ADDRESS: Final = 64
_FIRST_IPV4: Final = 0xFFFF << 32


def parse_address(text: str) -> int | None:
    """Return an address as a number of 128 bits, or None for what is no address.

    IPv4 addresses have their place among the others, at `::ffff:0:0`.
    """
    address = _address(text)
    return None if address is None else address.number


def canonical_address(text: str) -> str | None:
    """Return the one text of an IP address, or None for what is no address."""
    address = _address(text)
    return None if address is None else address.text


def compile_networks(networks: Sequence[str]) -> Callable[[str], bool]:
    """Return a test whether a text is an address in one of `networks`.

    Host bits are allowed (`10.6.48.157/8`). An IPv4 address is also in the IPv6
    networks around `::ffff:0:0/96`, such as `::/0`.

    Raises:
        ValueError: a text is not a network.
    """
    ranges = []
    for text in networks:
        network = ipaddress.ip_network(text, strict=False)
        ranges.append((_number(network.network_address), _number(network.broadcast_address)))

    def contains(text: str) -> bool:
        number = parse_address(text)
        return number is not None and any(low <= number <= high for low, high in ranges)

    return contains


class _Address(NamedTuple):
    number: int
    text: str


def _address(text: str) -> _Address | None:
    return None if len(text) > _LONGEST_ADDRESS or not text.isascii() else _parsed(text)


@lru_cache(maxsize=8192)
def _parsed(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    inside = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = inside or address
    return _Address(_number(address), str(address))


def _number(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    return int(address) + (_FIRST_IPV4 if address.version == 4 else 0)
