"""A bucket of S3: obstore moves the bodies, signed requests of our own do what it has no calls for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any, Final

from obstore.store import S3Store

from objectstore.backends.cloud import answers
from objectstore.backends.cloud.credentials import Finder, Identify, given
from objectstore.backends.cloud.failures import RETRY_AFTER, BucketMissing, NotPartial, Refused
from objectstore.backends.cloud.medium import Create, Decide, Mode, Names, Opened, Overwrite, Replace
from objectstore.backends.cloud.plain import ObstoreMedium, before
from objectstore.backends.cloud.records import ENTRY, Found
from objectstore.backends.cloud.service import Ask, Query, Service, text_fields
from objectstore.backends.cloud.settings import BucketSettings
from objectstore.backends.cloud.spool import Spool
from objectstore.backends.finishing import to_its_end
from objectstore.core.sigv4 import encoded
from objectstore.core.streams import blocks
from objectstore.errors import NotFound, ObjectStoreError, Unavailable
from objectstore.values import Bounded, ByteRange, From

LEAST_PART: Final = 5 * 1024 * 1024  # bytes: S3 takes smaller ones only as the last
MOST_AT_ONCE: Final = 5 * 1024**3  # bytes: S3 copies no more with one request
_PART: Final = 16 * 1024 * 1024  # bytes of the first parts
_GROWTH: Final = 1000  # parts after which they are twice as large, so that 10 000 of them hold the largest object
_BLOCK: Final = 512 * 1024  # bytes written to a spool at a time
_TRIES: Final = 5
_PAGE: Final = 1000
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_STANDARD: Final = frozenset(
    {"content-type", "content-encoding", "content-disposition", "content-language", "cache-control"}
)
_META: Final = "x-amz-meta-"


class S3Medium(ObstoreMedium):
    """See `medium.Medium`."""

    def __init__(self, settings: BucketSettings) -> None:
        self._settings = settings
        self._identify = Finder() if settings.credentials is None else given(settings.credentials)
        self._ranges_are_partial = True
        super().__init__("S3", self._make_store, settings.patience)
        self._service: Service | None = None

    def _make_store(self) -> S3Store:
        settings = self._settings
        config: dict[str, Any] = {
            "endpoint": settings.origin,
            "region": settings.region,
            "virtual_hosted_style_request": settings.virtual,
            "skip_signature": False,
        }
        return S3Store(
            settings.bucket,
            config=config,  # type: ignore[arg-type]  # the keys are those of S3Config
            client_options=settings.patience.client_options(),  # type: ignore[arg-type]  # as above
            retry_config=settings.patience.retry_config(),  # type: ignore[arg-type]  # as above
            # Given in any case, so that no session token of the environment joins keys of the configuration.
            credential_provider=_provider(self._identify),
        )

    async def open(self) -> None:
        self._service = Service(self.name, self._settings, self._identify)
        try:
            await super().open()
        except NotFound as error:
            await self.close()
            raise BucketMissing(f"{self.name}: the bucket is not there") from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await super().close()
        service, self._service = self._service, None
        if service is not None:
            await service.close()

    @asynccontextmanager
    async def read(self, key: str, wanted: ByteRange | None) -> AsyncIterator[Opened]:
        if wanted is None or self._ranges_are_partial:
            reading = super().read(key, wanted)
            try:
                opened = await reading.__aenter__()
            except NotPartial:
                pass
            else:
                try:
                    yield opened
                finally:
                    await reading.__aexit__(None, None, None)
                return
        async with self._read_range(key, wanted) as opened:
            yield opened

    @asynccontextmanager
    async def _read_range(self, key: str, wanted: ByteRange | None) -> AsyncIterator[Opened]:
        # For servers that give a range with the status 200, as rclone does.
        ask = Ask("GET", key, headers={} if wanted is None else {"range": _range(wanted)})
        async with self._asked.stream(ask) as response:
            fields = text_fields(response)
            span = _RANGE.fullmatch(fields.get("content-range", ""))
            if span is None:
                # Of an empty object some give all.
                size = int(fields["content-length"]) if fields.get("content-length", "").isdecimal() else 0
                start, stop = 0, size
            else:
                self._ranges_are_partial = False
                start, last, size = map(int, span.groups())
                stop = last + 1
            async with aclosing(aiter(response)) as chunks:  # type: ignore[type-var]  # a generator, as transports have it
                yield Opened(_found(fields, size), start, stop, chunks)

    async def write(self, key: str, data: bytes | Spool, fields: dict[str, str], mode: Mode) -> None:
        if isinstance(data, bytes):
            await super().write(key, data, fields, mode)
        else:
            await self._asked.change(Ask("PUT", key, headers=_headers(fields) | _bound(mode), body=data), "etag")

    async def write_large(
        self, key: str, first: Spool, rest: AsyncIterator[bytes], fields: dict[str, str], decide: Decide
    ) -> None:
        async with self._parts(key, fields) as parts:
            spool: Spool | None = first
            grouped = blocks(rest, _BLOCK)
            while spool is not None:
                await parts.add(spool)
                spool.clear()
                spool = await _filled(spool, grouped, part_size(len(parts.etags)))
            await parts.complete(decide)

    async def copy(self, source: str, found: Found, target: str, fields: dict[str, str], decide: Decide) -> bool:
        mode = await decide()
        if found.size > MOST_AT_ONCE or not isinstance(mode, Overwrite):
            # One request would not bind the target to its state everywhere; completing an upload does.
            return await self.join([(source, found)], target, fields, decide)
        headers = _headers(fields) | self._from(source, found) | {"x-amz-metadata-directive": "REPLACE"}
        await self._asked.ask_xml(Ask("PUT", target, headers=headers), "CopyObjectResult")
        return True

    async def join(
        self, parts: Sequence[tuple[str, Found]], target: str, fields: dict[str, str], decide: Decide
    ) -> bool:
        async with self._parts(target, fields) as upload:
            for source, found in parts:
                for start in range(0, found.size, MOST_AT_ONCE):
                    stop = min(start + MOST_AT_ONCE, found.size)
                    if not await upload.add_copy(self._from(source, found), start, stop):
                        return False
            await upload.complete(decide)
        return True

    async def delete(self, key: str, etag: str | None) -> None:
        headers = {} if etag is None else {"if-match": etag}
        await self._asked.change(Ask("DELETE", key, headers=headers), "x-amz-request-id")

    async def list(self, prefix: str, start: str, *, grouped: bool, limit: int) -> Names:
        query: dict[str, str] = {"list-type": "2", "encoding-type": "url", "max-keys": str(min(limit + 1, _PAGE))}
        if prefix:
            query["prefix"] = prefix
        if grouped:
            query["delimiter"] = "/"
        if after := before(start):
            query["start-after"] = after
        ask = Ask("GET", query=tuple(query.items()))
        answer = await self._asked.ask(ask)
        try:
            listed = answers.listed(answer.body)
        except answers.Garbled as error:
            raise self._asked.garbled(error, answer, ask) from error
        return Names(sorted({*listed.keys, *listed.groups}), listed.more)

    @property
    def _asked(self) -> Service:
        if self._service is None:
            raise RuntimeError("the store is not open: use `async with`")
        return self._service

    def _from(self, source: str, found: Found) -> dict[str, str]:
        path = f"/{encoded(self._settings.bucket)}/{encoded(source, safe='/')}"
        return {"x-amz-copy-source": path, "x-amz-copy-source-if-match": found.etag}

    @asynccontextmanager
    async def _parts(self, key: str, fields: dict[str, str]) -> AsyncIterator[_Parts]:
        ask = Ask("POST", key, (("uploads", ""),), _headers(fields))
        begun = await self._asked.ask_xml(ask, "InitiateMultipartUploadResult")
        parts = _Parts(self, self._asked, key, fields, answers.text(begun, "UploadId"))
        try:
            yield parts
        finally:
            await to_its_end(parts.leave())


class _Parts:
    """An upload in parts of S3: nothing of it is to be seen until it is completed."""

    def __init__(self, medium: S3Medium, service: Service, key: str, fields: dict[str, str], upload_id: str) -> None:
        self._medium = medium
        self._service = service
        self._key = key
        self._fields = fields
        self._upload_id = upload_id
        self._done = False
        self.etags: list[str] = []

    async def add(self, spool: Spool) -> None:
        answer = await self._service.change(Ask("PUT", self._key, self._next(), body=spool), "etag")
        self.etags.append(answer.fields["etag"])

    async def add_copy(self, source: dict[str, str], start: int, stop: int) -> bool:
        headers = source | {"x-amz-copy-source-range": f"bytes={start}-{stop - 1}"}
        found = await self._service.ask_xml(Ask("PUT", self._key, self._next(), headers), "CopyPartResult")
        etag = found.findtext("ETag")
        if not etag:
            # A server that does not know how, and took the request for that of an empty part.
            return False
        self.etags.append(etag)
        return True

    async def complete(self, decide: Decide) -> None:
        for _ in range(_TRIES):
            mode = await decide()
            ask = Ask("POST", self._key, self._this(), _bound(mode), answers.completion(self.etags))
            try:
                await to_its_end(self._service.ask_xml(ask, "CompleteMultipartUploadResult"))
            except (Refused, NotFound):
                # Perhaps a first try came through, and only its answer did not.
                if not await self._is_written():
                    continue
            self._done = True
            return
        raise Unavailable(f"{self._key!r} is written by many at once; try again", retry_after=RETRY_AFTER)

    async def leave(self) -> None:
        if not self._done:
            # Best effort: the bucket's own rules expire what a server that is away keeps of it.
            with suppress(ObjectStoreError, Refused):
                await self._service.ask(Ask("DELETE", self._key, self._this()))

    async def _is_written(self) -> bool:
        try:
            return (await self._medium.find(self._key)).fields.get(ENTRY) == self._fields[ENTRY]
        except NotFound:
            return False

    def _this(self) -> Query:
        return (("uploadId", self._upload_id),)

    def _next(self) -> Query:
        return (("partNumber", str(len(self.etags) + 1)), *self._this())


def part_size(number: int) -> int:
    """Bytes of the part after `number` others."""
    return min(_PART << (number // _GROWTH), MOST_AT_ONCE)


async def _filled(spool: Spool, source: AsyncIterator[bytes], size: int) -> Spool | None:
    async for block in source:
        await spool.add(block)
        if spool.size >= size:
            break
    return spool if spool.size else None


def _headers(fields: dict[str, str]) -> dict[str, str]:
    lower = {name.lower(): value for name, value in fields.items()}
    return {name if name in _STANDARD else _META + name: value for name, value in lower.items()}


def _found(fields: dict[str, str], size: int) -> Found:
    names = {name: name.title() for name in _STANDARD}
    kept = {names[name]: value for name, value in fields.items() if name in _STANDARD}
    kept |= {name.removeprefix(_META): value for name, value in fields.items() if name.startswith(_META)}
    modified = parsedate_to_datetime(fields["last-modified"])
    return Found(size=size, etag=fields.get("etag", ""), modified=modified, fields=kept)


def _bound(mode: Mode) -> dict[str, str]:
    match mode:
        case Create():
            return {"if-none-match": "*"}
        case Replace(etag):
            return {"if-match": etag}
        case _:
            return {}


def _range(wanted: ByteRange) -> str:
    match wanted:
        case Bounded(start, stop):
            return f"bytes={start}-{stop - 1}"
        case From(start):
            return f"bytes={start}-"
        case _:
            return f"bytes=-{wanted.length}"


def _provider(identify: Identify) -> Any:
    async def provide() -> dict[str, Any]:
        lent = await identify()
        return {
            "access_key_id": lent.credentials.access_key,
            "secret_access_key": lent.credentials.secret_key,
            "token": lent.credentials.token,
            "expires_at": lent.until,
        }

    return provide
