"""The two clients have the same methods with the same arguments."""

from __future__ import annotations

import inspect

import pytest

from objectstore import AsyncRestStore, RestStore
from objectstore.client import AsyncReader, Reader
from objectstore.client.drivers import AsyncDriver, Driver
from objectstore.client.transfers.aio import AsyncTransfers
from objectstore.client.transfers.sync import Transfers
from objectstore.client.transport.aio import AsyncDirectTransport
from objectstore.client.transport.proxied import AsyncProxiedTransport, ProxiedTransport
from objectstore.client.transport.sync import DirectTransport

# What a word of the sync client is called in the other.
RENAMED = {
    "AsyncData": "Data",
    "AsyncReader": "Reader",
    "AsyncObjectReader": "io.BufferedReader",
    "AsyncObjectWriter": "ObjectWriter",
    "AsyncDriver": "Driver",
    "AsyncTransport": "Transport",
    "AsyncOutgoing": "Outgoing",
    "AsyncResponse": "Response",
    "AsyncGenerator[Reader, None]": "Generator[Reader]",
    "AsyncGenerator[Transferred, None]": "Generator[Transferred]",
    "AsyncGenerator[Outcome[T], None]": "Generator[Outcome[T]]",
    "AsyncGenerator[tuple[str, bytes | ObjectStoreError], None]": "Generator[tuple[str, bytes | ObjectStoreError]]",
    "AsyncIterator": "Iterator",
    "Awaitable[None]": "None",
}
METHODS = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__"}
PAIRS = [
    (RestStore, AsyncRestStore),
    (Reader, AsyncReader),
    (Driver, AsyncDriver),
    (Transfers, AsyncTransfers),
    (DirectTransport, AsyncDirectTransport),
    (ProxiedTransport, AsyncProxiedTransport),
]


def signatures(cls: type) -> dict[str, str]:
    found = {}
    for name, member in vars(cls).items():
        function = member.__func__ if isinstance(member, classmethod) else inspect.unwrap(member)
        if not inspect.isfunction(function) or (name.startswith("_") and not name.startswith("__")):
            continue
        text = str(inspect.signature(function))
        for there, here in RENAMED.items():
            text = text.replace(there, here)
        found[METHODS.get(name, name)] = text
    return found


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda cls: cls.__name__)
def test_both_clients_have_the_same_methods(one: type, other: type) -> None:
    ours, theirs = signatures(one), signatures(other)
    if one is Driver:
        # What sleeps differs, and so do the defaults.
        del ours["__init__"], theirs["__init__"]
    assert ours == theirs


def test_every_public_method_says_what_it_does() -> None:
    for cls in (RestStore, AsyncRestStore):
        for name, member in inspect.getmembers(cls, callable):
            if not name.startswith("_"):
                assert inspect.getdoc(member), f"{cls.__name__}.{name}"


def test_the_package_offers_what_users_need() -> None:
    import objectstore
    import objectstore.client

    for name in objectstore.__all__:
        assert getattr(objectstore, name) is not None
    assert objectstore.RestStore is objectstore.client.RestStore
    assert objectstore.AsyncRestStore is objectstore.client.AsyncRestStore
    with pytest.raises(AttributeError):
        _ = objectstore.Nonsense
