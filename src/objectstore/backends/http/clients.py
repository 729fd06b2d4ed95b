"""Connections to servers that are not of our kind."""

from __future__ import annotations

import ssl
from functools import cache

import httpx2

MAX_REDIRECTS = 10  # in a row


def new_client(*, timeout: float, follow_redirects: bool) -> httpx2.AsyncClient:
    """A pool of connections; `timeout` is seconds without a byte."""
    return httpx2.AsyncClient(
        # What is stored comes as it is: a compressed answer would have another length.
        headers={"accept-encoding": "identity", "user-agent": "objectstore-python"},
        verify=_tls(),
        timeout=timeout,
        follow_redirects=follow_redirects,
        max_redirects=MAX_REDIRECTS,
    )


@cache
def _tls() -> ssl.SSLContext:
    # Loading the certificates of all authorities takes a quarter of a second.
    return httpx2.create_ssl_context()
