"""Uploads in parts, put together by the other server."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from objectstore.backends.rest.records import told, told_attributes
from objectstore.backends.rest.sources import source_of
from objectstore.core.conditions import check_write
from objectstore.core.digests import Digester
from objectstore.core.listing import decode_cursor, encode_cursor
from objectstore.errors import BadRequest, InvalidPart, NotFound, UploadNotFound
from objectstore.values import (
    COMPLETE,
    Body,
    CompleteOptions,
    Conditions,
    Etags,
    ObjectInfo,
    Part,
    PutOptions,
    Upload,
    UploadPage,
)
from objectstore.wire import flows, replies, requests
from objectstore.wire.conditions import parse_etags
from objectstore.wire.flows import Flow
from objectstore.wire.records import parse_part, parse_upload
from objectstore.wire.replies import UploadedPart
from objectstore.wire.requests import Request
from objectstore.wire.retries import Retries

T = TypeVar("T")
_MAX_PARTS: Final = 10_000
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Run(Protocol):
    async def __call__(self, flow: Flow[T]) -> T: ...


class RestUploads:
    """Implements `contract.Uploads`. The other server keeps everything, and ends what nobody completes."""

    def __init__(self, run: Run, retries: Retries, head: Callable[[str], Awaitable[ObjectInfo]]) -> None:
        self._run = run
        self._retries = retries
        self._head = head

    async def begin(self, key: str, options: PutOptions) -> Upload:
        conditions = await self._lasting(key, options.conditions)
        Digester(options.digests | options.expected.keys())  # refuses what it does not know
        request = requests.begin_upload(
            key, options.attributes, conditions, size=options.size, expected=options.expected
        )
        begun = replies.read_begun(await self._send(request), request)
        return await self.get(begun.upload_id)

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        _check_id(upload_id)
        if not 1 <= number <= _MAX_PARTS:
            await self._unfinished(upload_id)
            raise InvalidPart(f"parts are numbered from 1 to {_MAX_PARTS}; this one is {number}")
        source = await source_of(body, options)
        request = requests.put_part(upload_id, number, source)
        return parse_part(_json(await self._send(request), request))

    async def get(self, upload_id: str) -> Upload:
        _check_id(upload_id)
        request = requests.get_upload(upload_id)
        members = _json(await self._send(request), request)
        upload = parse_upload(members)
        return replace(
            upload,
            attributes=told_attributes(upload.attributes),
            conditions=Conditions(
                if_match=_etags(members.get("if_match")), if_none_match=_etags(members.get("if_none_match"))
            ),
            completed=None if upload.completed is None else told(upload.completed),
        )

    async def complete(
        self,
        upload_id: str,
        parts: Sequence[tuple[int, str]],
        options: CompleteOptions = COMPLETE,  # noqa: ARG002  never given one that says anything
    ) -> ObjectInfo:
        _check_id(upload_id)
        if any(not 1 <= number <= _MAX_PARTS for number, _ in parts):
            await self._unfinished(upload_id)
            raise InvalidPart(f"parts are numbered from 1 to {_MAX_PARTS}")
        named = [UploadedPart(number=number, size=0, etag=etag) for number, etag in parts]
        return told(await self._run(flows.complete_upload(upload_id, named, self._retries)))

    async def abort(self, upload_id: str) -> None:
        _check_id(upload_id)
        await self._run(flows.abort_upload(upload_id, self._retries))

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        found: list[Upload] = []
        cursor = encode_cursor(start) if start else None
        while True:
            listed, cursor = await self._run(flows.list_uploads(cursor, self._retries))
            for one in listed:
                if not one.key.startswith(prefix):
                    continue
                if len(found) == limit:
                    return UploadPage(uploads=tuple(found), next_start=one.upload_id)
                found.append(Upload(upload_id=one.upload_id, key=one.key, begun=one.begun))
            if cursor is None:
                return UploadPage(uploads=tuple(found))
            decode_cursor(cursor)

    async def expire(self, before: datetime) -> int:
        """Abort what was begun before. Completed uploads are the other server's to forget: they are not listed."""
        expired = 0
        start: str | None = ""
        while start is not None:
            page = await self.list(start=start, limit=requests.MAX_BATCH)
            for upload in page.uploads:
                if upload.begun < before:
                    await self.abort(upload.upload_id)
                    expired += 1
            start = page.next_start
        return expired

    async def _send(self, request: Request) -> replies.Reply:
        return await self._run(flows.send(request, self._retries))

    async def _unfinished(self, upload_id: str) -> None:
        if (await self.get(upload_id)).completed is not None:
            raise UploadNotFound(upload_id)

    async def _lasting(self, key: str, conditions: Conditions) -> Conditions:
        """Conditions on etags for those on a time, which uploads do not have there: what holds now is to stay."""
        if conditions.if_unmodified_since is None:
            return replace(conditions, if_modified_since=None)
        try:
            current = await self._head(key)
        except NotFound:
            check_write(conditions, key, None)
            return replace(conditions, if_modified_since=None, if_unmodified_since=None)
        check_write(conditions, key, current)
        return Conditions(if_match=(current.etag,))


def _check_id(upload_id: str) -> None:
    # What no server gives out might not even travel in a path.
    if not _ID.fullmatch(upload_id):
        raise UploadNotFound(upload_id)


def _json(reply: replies.Reply, request: Request) -> Mapping[str, Any]:
    try:
        members = json.loads(reply.body)
    except ValueError as error:
        raise replies.not_ours(reply, request, error) from error
    if not isinstance(members, Mapping):
        raise replies.not_ours(reply, request, "no JSON object")
    return members


def _etags(text: str | None) -> Etags | None:
    if text is None:
        return None
    try:
        return parse_etags(text.encode("latin-1"), strong=False)
    except (BadRequest, UnicodeEncodeError):
        return (text,)  # no object has such a tag
