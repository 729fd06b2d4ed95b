"""The client that blocks."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self, Unpack

from objectstore.client.drivers import Driver
from objectstore.client.place import chosen_place
from objectstore.client.readers import Reader
from objectstore.client.site import parse_site
from objectstore.client.sources import Data, Kept, opened
from objectstore.client.transfers.sync import Transfers
from objectstore.client.transport import transport_to
from objectstore.errors import NotFound
from objectstore.values import NO_ATTRIBUTES, UNCONDITIONAL, Attributes, ByteRange, Conditions, ObjectInfo
from objectstore.wire import flows
from objectstore.wire.links import DEFAULT_LIFETIME, LinkMethod, SignedLink, sign_link
from objectstore.wire.replies import BegunUpload, Deleted, Page, UnfinishedUpload, UploadedPart
from objectstore.wire.requests import MAX_BATCH, list_objects
from objectstore.wire.retries import Retries
from objectstore.wire.usage import QuotaUsage

__all__ = ["Data", "Kept", "RestStore"]


class RestStore(Transfers):
    """A store of objects spoken to over HTTP. May be shared by threads, and used in a child after a fork.

    Every method raises the errors of `objectstore.errors` that its docstring names, and besides them
    `Unauthenticated`, `Forbidden`, `Unavailable` (the server or the way to it, after the retries) and
    `InvalidKey`. A `Retryable` error may be answered by trying again later.
    """

    def __init__(self, driver: Driver) -> None:
        """Over a driver of the caller's making; `create` is what users call."""
        self._driver = driver
        self._retries = driver.retries

    @classmethod
    def create(
        cls,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 3,
        retry_delay: float = 1.0,
        *,
        max_connections: int = 100,
        ca_file: str | os.PathLike[str] | None = None,
        profile: str | None = None,
    ) -> Self:
        """A client of the server at `base_url`; nothing is connected yet.

        Args:
            base_url: as in `http://localhost:8000`; a path in it goes before every path of a request. Without it, the
                environment and the profiles of `objectstore login` say which server it is, and give its token.
            api_key: the token, sent as `Authorization: Bearer`; None sends none to a `base_url`.
            timeout: seconds that connecting, each read and each write may take.
            max_retries: tries after the first, where trying again is safe.
            retry_delay: seconds before the first retry at most; doubles with each one.
            max_connections: how many requests may be under way at once; others wait their turn.
            ca_file: certificates (PEM) of the authorities to trust instead of the system's.
            profile: of `objectstore login`, to take the URL from, and the token.
        """
        place = chosen_place(base_url, api_key, profile)
        site = parse_site(place.url, place.token)
        retries = Retries(limit=max_retries, delay=retry_delay)
        transport = transport_to(site.origin, timeout=timeout, max_connections=max_connections, ca_file=ca_file)
        return cls(Driver(site, transport, retries))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RestStore {self._driver.site}>"

    def close(self) -> None:
        """Close the connections. May be called again; other calls raise RuntimeError from then on."""
        self._driver.close()

    def put(self, key: str, data: Data, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]) -> ObjectInfo:
        """Store `data` under `key`, replacing what is there: all of it or, on any error, nothing.

        Args:
            key: 1 to 1024 bytes of UTF-8.
            data: bytes; a binary file, from where it stands; a path; an iterable of bytes, read once.
            conditions: when to, as in `ONLY_IF_ABSENT` or `Conditions(if_match=(info.etag,))`; atomic with the write.
            kept: content_type, content_encoding, content_disposition, content_language, cache_control, metadata.

        Raises:
            AlreadyExists, PreconditionFailed: the conditions do not hold; nothing was changed.
            IncompleteBody: the file changed its size while it was sent; nothing was changed.
            Corrupted: the server stored something else than was sent.
            TooLarge, StorageFull, InvalidMetadata: nothing was changed.
        """
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        with opened(data) as source:
            return self._driver.run(flows.put(key, source, attributes, conditions, self._retries))

    def get(self, key: str, *, range: ByteRange | None = None, conditions: Conditions = UNCONDITIONAL) -> bytes:  # noqa: A002  its name everywhere
        """The bytes of the object, or a range of them: `Bounded(0, 100)`, `From(100)` or `Last(10)`.

        Never too few, and a whole object never with another digest than it has.

        Raises:
            NotFound: also a KeyError.
            NotModified, PreconditionFailed: the conditions do not hold.
            InvalidRange: the range selects nothing.
            Corrupted: what arrived is not what is stored.
            Unavailable: also when the connection was lost and the object changed before the rest was asked for.
        """
        found = self._driver.run(flows.get_or_open(key, range, conditions, self._retries))
        if isinstance(found, bytes):
            return found
        with closing(Reader(self._driver, *found)) as reader:
            return reader.read()

    @contextmanager
    def stream(
        self,
        key: str,
        *,
        range: ByteRange | None = None,  # noqa: A002  its name everywhere
        conditions: Conditions = UNCONDITIONAL,
    ) -> Generator[Reader]:
        """The object opened for reading, in a `with`, without holding more than a chunk in memory. Raises as `get`."""
        found = self._driver.run(flows.open_object(key, range, conditions, self._retries))
        with closing(Reader(self._driver, *found)) as reader:
            yield reader

    def head(self, key: str) -> ObjectInfo:
        """What is known of the object without reading it. Raises NotFound, also a KeyError."""
        return self._driver.run(flows.head(key, self._retries))

    def exists(self, key: str) -> bool:
        """Whether there is an object under `key`."""
        try:
            self.head(key)
        except NotFound:
            return False
        return True

    def delete(self, key: str, *, conditions: Conditions = UNCONDITIONAL) -> None:
        """Remove the object. Raises NotFound, also a KeyError; PreconditionFailed."""
        self._driver.run(flows.delete(key, conditions, self._retries))

    def delete_many(self, keys: Iterable[str]) -> Deleted:
        """Remove any number of objects, a thousand with one request; tells what became of each.

        When a request fails as a whole its error is raised, and earlier ones have been carried out: calling again is
        harmless.
        """
        return self._driver.run(flows.delete_many(keys, self._retries))

    def copy(
        self, source: str, target: str, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]
    ) -> ObjectInfo:
        """Store the bytes of `source` under `target`, without them passing here.

        Args:
            source: the key of an object.
            target: the key of its copy.
            conditions: on what is under `target`.
            kept: as for `put`, instead of all that `source` has; without any they are copied.

        Raises:
            NotFound: there is no `source`; also a KeyError.
            AlreadyExists, PreconditionFailed: the conditions do not hold; nothing was changed.
        """
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        return self._driver.run(flows.copy(source, target, attributes, conditions, self._retries))

    def keys(self, prefix: str = "") -> Iterator[str]:
        """All keys that start with `prefix`, in UTF-8 byte order, fetched page by page. Raises as `list`."""
        for page in self._pages(prefix, details=False):
            yield from page.keys

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """As `keys`, with what is known of each object."""
        for page in self._pages(prefix, details=True):
            yield from page.objects

    def list(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        limit: int = MAX_BATCH,
        cursor: str | None = None,
        start_after: str | None = None,
        details: bool = False,
    ) -> Page:
        """One page of keys that start with `prefix`, in UTF-8 byte order.

        Args:
            prefix: raw leading characters.
            delimiter: keys that share what comes before it, after the prefix, are told as one group in `prefixes`.
            limit: keys and groups of the page, 1 to 1000.
            cursor: `next_cursor` of the page before.
            start_after: leave out keys up to and including this one.
            details: fill `objects` too.

        Raises:
            Unsupported: this store cannot list; also a NotImplementedError.
            InvalidCursor, InvalidParameter.
        """
        request = list_objects(
            prefix=prefix, delimiter=delimiter, limit=limit, cursor=cursor, start_after=start_after, details=details
        )
        return self._driver.run(flows.list_page(request, cursor, self._retries))

    def sign(
        self,
        key: str,
        *,
        expires: float | timedelta = DEFAULT_LIFETIME,
        method: LinkMethod = "GET",
        max_bytes: int | None = None,
        content_type: str | None = None,
        filename: str | None = None,
    ) -> SignedLink:
        """A URL that reads the object, or with `method="PUT"` stores one, without a token until it expires.

        The server makes it in the name of this client's token, and it ends with that token.

        Args:
            key: which object; a link to read one that is not there yet is no error.
            expires: seconds from now, or a timedelta. Earlier when the token ends earlier: the answer tells.
            method: "GET", which allows HEAD too, or "PUT".
            max_bytes: how many a PUT may store.
            content_type: what a PUT stores; it may name no other.
            filename: what browsers save a GET under.

        Raises:
            Forbidden: the token may not do this itself.
            InvalidParameter: it would be valid for longer than the server lets links be, or limits do not fit.
            Unsupported: the server makes no links.
        """
        request = sign_link(
            key, expires=expires, method=method, max_bytes=max_bytes, content_type=content_type, filename=filename
        )
        return self._driver.run(flows.sign(request, str(self._driver.site), self._retries))

    def usage(self) -> Sequence[QuotaUsage]:
        """What is kept under each prefix for which the token has a quota, whoever wrote it; empty without a quota.

        Raises:
            Unsupported: the token has a quota that the store cannot keep.
        """
        return self._driver.run(flows.usage(self._retries))

    def begin_upload(self, key: str, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]) -> BegunUpload:
        """Begin an upload in parts; arguments as for `put`. The object is there once it is completed.

        Raises:
            AlreadyExists, PreconditionFailed: the conditions, checked now and at completion, do not hold.
        """
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        return self._driver.run(flows.begin_upload(key, attributes, conditions, self._retries))

    def put_part(self, upload_id: str, number: int, data: Data) -> UploadedPart:
        """Store part `number`, 1 to 10 000; in any order, at the same time, and again: the last one counts.

        Raises:
            UploadNotFound: never begun, completed, aborted or expired.
        """
        with opened(data) as source:
            return self._driver.run(flows.put_part(upload_id, number, source, self._retries))

    def complete_upload(self, upload_id: str, parts: Iterable[UploadedPart]) -> ObjectInfo:
        """Make the object of these parts, in this order, visible; asking again gives the same answer.

        Raises:
            UploadNotFound; InvalidPart: one has not arrived, or numbers do not ascend; PreconditionFailed.
        """
        return self._driver.run(flows.complete_upload(upload_id, parts, self._retries))

    def abort_upload(self, upload_id: str) -> None:
        """Forget the upload and its parts. Raises UploadNotFound."""
        self._driver.run(flows.abort_upload(upload_id, self._retries))

    def get_upload(self, upload_id: str) -> UnfinishedUpload:
        """The upload and the parts that have arrived. Raises UploadNotFound."""
        return self._driver.run(flows.get_upload(upload_id, self._retries))

    def uploads(self) -> Iterator[UnfinishedUpload]:
        """All unfinished uploads, without their parts, fetched page by page."""
        cursor = None
        while True:
            found, cursor = self._driver.run(flows.list_uploads(cursor, self._retries))
            yield from found
            if cursor is None:
                return

    def _pages(self, prefix: str, *, details: bool) -> Iterator[Page]:
        page = self.list(prefix, details=details)
        while page.next_cursor is not None:
            yield page
            page = self.list(prefix, cursor=page.next_cursor, details=details)
        yield page
