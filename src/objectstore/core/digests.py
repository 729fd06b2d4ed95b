"""Digests of bodies, by the names of the HTTP digest registry (RFC 9530 §5)."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from objectstore.errors import DigestMismatch, InvalidDigest


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _sha1() -> _Hash:
    return hashlib.sha1(usedforsecurity=False)


def _md5() -> _Hash:
    return hashlib.md5(usedforsecurity=False)


_ALGORITHMS: Final = {
    "sha-256": hashlib.sha256,
    "sha-512": hashlib.sha512,
    "sha-1": _sha1,
    "md5": _md5,
    "crc32": _Crc32,
}
ALGORITHMS: Final = frozenset(_ALGORITHMS)
SIZES: Final = {"sha-256": 32, "sha-512": 64, "sha-1": 20, "md5": 16, "crc32": 4}  # bytes


class Digester:
    """Computes sha-256 and the other algorithms named, over bytes as they come.

    Raises (on construction):
        InvalidDigest: an algorithm that is not known here.
    """

    def __init__(self, algorithms: Iterable[str] = ()) -> None:
        names = {"sha-256", *algorithms}
        if unknown := names - ALGORITHMS:
            known = ", ".join(sorted(ALGORITHMS))
            raise InvalidDigest(f"unknown digest algorithm {min(unknown)!r}; known are {known}")
        self._hashes: dict[str, _Hash] = {name: _ALGORITHMS[name]() for name in sorted(names)}

    def update(self, data: bytes) -> None:
        for one in self._hashes.values():
            one.update(data)

    def digests(self) -> dict[str, bytes]:
        """Algorithm to raw digest of all the bytes so far."""
        return {name: one.digest() for name, one in self._hashes.items()}


def digests_of(data: bytes, algorithms: Iterable[str] = ()) -> dict[str, bytes]:
    """The digests of bytes in hand, as `Digester` gives them."""
    if not algorithms:
        return {"sha-256": hashlib.sha256(data).digest()}
    digester = Digester(algorithms)
    digester.update(data)
    return digester.digests()


def check_digests(expected: Mapping[str, bytes], computed: Mapping[str, bytes]) -> None:
    """Nothing, when each expected digest was computed and is equal. Raises DigestMismatch."""
    for algorithm, digest in expected.items():
        if not hmac.compare_digest(computed[algorithm], digest):
            raise DigestMismatch(algorithm)
