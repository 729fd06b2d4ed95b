"""Which address a request comes from, and how far one sender's addresses reach."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]

_SITE: Final = 64  # bits: whoever has one IPv6 address usually has all that share these with it


def parse_networks(text: str) -> Networks:
    """Addresses and networks separated by commas, as in `10.0.0.0/8, ::1`. Raises ValueError."""
    return tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())


def client_address(peer: str, forwarded: bytes | None, trusted: Networks) -> str:
    """Who is counted for a request: an IPv4 address, the /64 of an IPv6 address, or `peer` as it is.

    `forwarded` is the X-Forwarded-For field. Each proxy appends whom it was called by, so it is read from its end,
    as far as the proxies are trusted ones: what stands before that, anybody may have written.
    """
    if not trusted or forwarded is None:
        return _counted(peer)
    found = peer
    for hop in reversed(forwarded.decode("latin-1").split(",")):
        if not _is_trusted(found, trusted):
            break
        found = _bare(hop.strip())
    return _counted(found)


@lru_cache(maxsize=4096)
def _counted(text: str) -> str:
    address = _parse(text)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _SITE), strict=False))
    return text if address is None else str(address)


@lru_cache(maxsize=4096)
def _is_trusted(text: str, trusted: Networks) -> bool:
    address = _parse(text)
    return address is not None and any(address in network for network in trusted)


def _parse(text: str) -> Address | None:
    try:
        address = ip_address(text.partition("%")[0])  # without the zone of a link-local one
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _bare(hop: str) -> str:
    """Without the port that some proxies add: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    host, colon, port = hop.partition(":")
    return host if colon and ":" not in port else hop
