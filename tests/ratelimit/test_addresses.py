from __future__ import annotations

import pytest

from objectstore.ratelimit.addresses import client_address, parse_networks

PROXIES = parse_networks("10.0.0.0/8, 2001:db8:1::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("192.0.2.7", b"203.0.113.1", "192.0.2.7"),  # no proxy of ours: it may write what it likes
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", b"1.2.3.4, 203.0.113.1, 10.9.9.9", "203.0.113.1"),
        ("10.0.0.1", b"10.1.1.1,10.2.2.2", "10.1.1.1"),  # nothing but proxies: the outermost
        ("10.0.0.1", b"203.0.113.1:4711", "203.0.113.1"),
        ("10.0.0.1", b"[2001:db8:2::1]:4711", "2001:db8:2::/64"),
        ("2001:db8:1::5", b"2001:db8:2:3:4:5:6:7", "2001:db8:2:3::/64"),
        ("::ffff:10.0.0.1", b"::ffff:203.0.113.1", "203.0.113.1"),
        ("fe80::1%eth0", None, "fe80::/64"),
        ("10.0.0.1", b"unknown", "unknown"),
        ("10.0.0.1", b"1.2.3.4, \xff", "\xff"),
        ("testclient", b"1.2.3.4", "testclient"),
    ],
)
def test_the_address_is_the_last_that_no_trusted_proxy_has(peer: str, forwarded: bytes | None, address: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


def test_without_trusted_proxies_the_field_counts_for_nothing() -> None:
    assert client_address("10.0.0.1", b"203.0.113.1", ()) == "10.0.0.1"


def test_one_ipv6_site_is_one_sender() -> None:
    assert client_address("2001:db8::1", None, ()) == client_address("2001:db8::ffff:2", None, ())
    assert client_address("2001:db8::1", None, ()) != client_address("2001:db8:0:1::1", None, ())


@pytest.mark.parametrize("text", ["proxy", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8 ::1"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_networks(text)
