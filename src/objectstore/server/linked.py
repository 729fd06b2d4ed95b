"""A request that comes with a signed link, and its response: an exchange that keeps to what the link says."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from objectstore.auth.links import Link, value_in
from objectstore.auth.scopes import Credential
from objectstore.auth.signing import Links
from objectstore.errors import Forbidden, InvalidKey, InvalidLink
from objectstore.server.exchange import Exchange, Receive, Scope, Send
from objectstore.values import Body
from objectstore.wire.headers import COPY_FROM, FieldList
from objectstore.wire.links import PARAMETER, attachment
from objectstore.wire.paths import key_of

_MARK: Final = PARAMETER.encode() + b"="
_OBJECT: Final = b"/objects/"


def exchange_of(scope: Scope, receive: Receive, send: Send, raw_path: bytes) -> Exchange:
    """The exchange for a request: one that looks for a link where there could be one."""
    query: bytes = scope["query_string"]
    if query and _MARK in query and raw_path.startswith(_OBJECT):
        return LinkedExchange(scope, receive, send, raw_path)
    return Exchange(scope, receive, send, raw_path)


class LinkedExchange(Exchange):
    """An exchange that is bound by a link once `enter` has found one."""

    __slots__ = ("_link",)

    def __init__(self, scope: Scope, receive: Receive, send: Send, raw_path: bytes) -> None:
        super().__init__(scope, receive, send, raw_path)
        self._link: Link | None = None

    def enter(self, links: Links | None, now: datetime) -> Credential | None:
        """What the link allows this request; None when there is no link.

        Raises:
            InvalidLink: nothing; LinkExpired: no longer.
            Forbidden: not with these headers.
        """
        value = value_in(self.query)
        if value is None:
            return None
        if links is None:
            raise InvalidLink
        try:
            key = key_of(self.raw_path)
        except InvalidKey:
            raise InvalidLink from None
        link, credential = links.admit(value, key, self.method, now)
        if COPY_FROM in self.fields:
            raise Forbidden("a link stores the body that comes with the request; it copies nothing")
        if link.content_type is not None:
            self._bind_type(link.content_type)
        self._link = link
        return credential

    def _bind_type(self, bound: str) -> None:
        told = self.fields.get(b"content-type")
        if told is not None and told != bound.encode():
            raise Forbidden(f"this link is for the Content-Type {bound!r} alone")
        self.fields = {**self.fields, b"content-type": bound.encode()}

    async def body(self, limit: int) -> Body:
        link = self._link
        bound = limit if link is None or link.max_bytes is None else min(limit, link.max_bytes)
        return await super().body(bound)

    def _tell(self, status: int, fields: FieldList) -> FieldList:
        link = self._link
        if link is not None and status < 400:
            fields = _for_bearer(link, fields)
        return super()._tell(status, fields)


def _for_bearer(link: Link, fields: FieldList) -> FieldList:
    told = fields if link.filename is None else [pair for pair in fields if pair[0] != b"content-disposition"]
    # The URL is a secret: pages that it leads to are not to hand it on.
    found = [*told, (b"referrer-policy", b"no-referrer")]
    if link.filename is not None:
        found.append((b"content-disposition", attachment(link.filename)))
    if not any(name == b"cache-control" for name, _ in told):
        # Without a token in the request, caches on the way could keep it for longer than the link is valid.
        found.append((b"cache-control", b"private"))
    return found
