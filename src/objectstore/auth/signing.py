"""Making signed links, and letting in who has one: the rules of `links` with the tokens and the secret at hand."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from objectstore.auth.links import Link, admit, mark_in, sign, signing_key, verify
from objectstore.auth.scopes import Credential
from objectstore.errors import InvalidLink, Unsupported


class Makers(Protocol):
    def maker(self, mark: str) -> tuple[bytes, Credential] | None:
        """The hash and the rights of the token that links name so; None: there is none (any more)."""
        ...


class Secret(Protocol):
    """What `LinkSecret` keeps in a file."""

    def load(self) -> None: ...

    def known(self) -> bytes | None: ...

    def needed(self) -> bytes: ...


class Links:
    """The links of one server, and of all that share its tokens and its secret."""

    def __init__(self, makers: Makers, secret: Secret) -> None:
        self._makers = makers
        self._secret = secret

    def load(self) -> None:
        """Read the secret if there is one. Raises ConfigurationError: it cannot be used."""
        self._secret.load()

    def make(self, link: Link, credential: Credential) -> str:
        """The parameter that makes a URL of `link`, in the name of `credential`. Blocks.

        Raises:
            Unsupported: the credential is not one that can be taken back, or there is no secret to be had.
        """
        found = self._makers.maker(credential.mark) if credential.mark else None
        if found is None:
            raise Unsupported("links are made with a token of the token file, which this credential is not")
        digest, _ = found
        return sign(link, credential.mark, signing_key(self._secret.needed(), digest))

    def admit(self, value: str, key: str, method: str, now: datetime) -> tuple[Link, Credential]:
        """What a request with this parameter, for this object, may do.

        Raises:
            InvalidLink: nothing, for whatever reason; LinkExpired: no longer.
        """
        found = self._makers.maker(mark_in(value))
        if found is None:
            raise InvalidLink
        secret = self._secret.known()
        if secret is None:
            raise InvalidLink
        digest, maker = found
        link = verify(value, key, signing_key(secret, digest))
        return link, admit(link, method, maker, now)
