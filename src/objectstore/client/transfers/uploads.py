"""An upload, step by step, for both drivers.

What is small goes with one request. What is large goes in parts, side by side, and when its source is a path the
upload is noted in the user's state folder: who uploads the same file to the same key again goes on with it. What has
arrived then is asked of the server, and kept where it has the digest of the bytes here; so a file that has changed
meanwhile is sent as it is now.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar, cast

from objectstore.client.sources import CHUNK, Data, InHand, Parts, contiguous, read_once
from objectstore.client.steps import Gather, Local, Work, brief, local
from objectstore.client.transfers.content import (
    Content,
    FileContent,
    MemoryContent,
    Slice,
    content_of,
    digest_of,
    open_content,
    read_small,
)
from objectstore.client.transfers.layout import Layout, in_parts, upload_layout
from objectstore.client.transfers.meter import Meter
from objectstore.client.transfers.notes import UploadNote, identity_of, place_of
from objectstore.client.transfers.options import Options
from objectstore.client.transfers.remote import RemoteContent
from objectstore.errors import Corrupted, ObjectStoreError, PreconditionFailed, UploadNotFound
from objectstore.values import Attributes, Conditions, ObjectInfo
from objectstore.wire import flows, requests
from objectstore.wire.flows import NextPart
from objectstore.wire.replies import UploadedPart
from objectstore.wire.retries import Retries

T = TypeVar("T")
_TRIES: Final = 3  # of a part that arrives damaged
_STRIDE: Final = 8 * 1024 * 1024  # bytes hashed before looking whether anybody still wants it
_ASSEMBLED: Final = 1024**3  # bytes; a server that puts so many together is given one more chance to answer


def upload(
    source: Data | str | RemoteContent,
    key: str,
    attributes: Attributes,
    conditions: Conditions,
    options: Options,
    site: str,
    retries: Retries,
    meter: Meter,
) -> Work[ObjectInfo]:
    """Store what the source gives under the key."""
    requests.path_of(key)  # a bad key is told of before anything is opened
    sending = _Sending(key, attributes, conditions, options, site, retries, meter)
    if isinstance(source, str | os.PathLike):
        info = yield from sending.path(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        info = yield from sending.content(MemoryContent(contiguous(source)), None)
    elif isinstance(source, RemoteContent):
        info = yield from sending.noted(source, source.place, source.identity)
    else:
        content = (yield from local(partial(content_of, cast("BinaryIO", source)))) if hasattr(source, "read") else None
        if content is not None:
            info = yield from sending.content(content, None)
        else:
            info = yield from sending.stream(Parts(read_once(source)))
    meter.finish()
    return info


def streamed(
    key: str,
    attributes: Attributes,
    conditions: Conditions,
    options: Options,
    site: str,
    retries: Retries,
    meter: Meter,
) -> Work[ObjectInfo]:
    """Store under the key what the driver is given piece by piece."""
    requests.path_of(key)
    info = yield from _Sending(key, attributes, conditions, options, site, retries, meter).stream(None)
    meter.finish()
    return info


class _Sending:
    """One upload; `site` is the address of the store, for the note."""

    def __init__(
        self,
        key: str,
        attributes: Attributes,
        conditions: Conditions,
        options: Options,
        site: str,
        retries: Retries,
        meter: Meter,
    ) -> None:
        self._key = key
        self._attributes = attributes
        self._conditions = conditions
        self._options = options
        self._site = site
        self._retries = retries
        self._meter = meter

    def path(self, named: str | os.PathLike[str]) -> Work[ObjectInfo]:
        data = yield from brief(partial(read_small, named))
        if data is not None:
            return (yield from self._small(InHand(data)))
        path = Path(named)
        source = _OpenSource(path)
        try:
            yield Local(source.open)
            if source.small is not None:
                return (yield from self._small(source.small))
            if source.content is None:
                return (yield from self.stream(Parts(read_once(source.file))))
            return (yield from self.noted(source.content, place_of(path), identity_of(source.content.stat)))
        finally:
            source.close()

    def noted(self, content: Content, place: str, identity: Sequence[object]) -> Work[ObjectInfo]:
        """As `content`; when it is large, in a way that the next upload of the same place goes on with."""
        if not in_parts(content.size, self._options.part_size) or not self._options.resume:
            return (yield from self.content(content, None))
        note = UploadNote(self._site, self._key, place, identity)
        try:
            yield Local(note.open)
            return (yield from self.content(content, note))
        finally:
            note.close()

    def content(self, content: Content, note: UploadNote | None) -> Work[ObjectInfo]:
        self._meter.expect(content.size)
        if content.size <= CHUNK:
            data = yield from local(partial(content.read_at, 0, content.size))
            return (yield from self._small(InHand(data)))
        if not in_parts(content.size, self._options.part_size):
            body = Slice(content, 0, content.size, self._meter)
            return (yield from flows.put(self._key, body, self._attributes, self._conditions, self._retries))
        for again in (True, False):
            try:
                return (yield from _InParts(self, content, note).run())
            except UploadNotFound:
                # It expired, or somebody aborted it; one that was gone on with is begun anew.
                if note is None or not again:
                    raise
                note.drop()
        raise AssertionError

    def stream(self, parts: Parts | None) -> Work[ObjectInfo]:
        """What is read once, part by part; None: what the driver was given."""
        flow = flows.upload(self._key, self._attributes, self._conditions, self._options.part_size, self._retries)
        answer: Any = None
        failure: Exception | None = None
        while True:
            try:
                needed = flow.send(answer) if failure is None else flow.throw(failure)
            except StopIteration as done:
                return cast("ObjectInfo", done.value)
            try:
                if isinstance(needed, NextPart) and parts is not None:
                    answer, failure = (yield Local(partial(parts.take, needed.size))), None
                else:
                    answer, failure = (yield needed), None
                if isinstance(needed, NextPart):
                    self._meter.add(answer.size)
            except Exception as error:  # noqa: BLE001  the flow decides
                failure = error

    def _small(self, body: InHand) -> Work[ObjectInfo]:
        self._meter.expect(body.size)
        info = yield from flows.put(self._key, body, self._attributes, self._conditions, self._retries)
        self._meter.add(body.size)
        return info

    def begin(self, size: int, note: UploadNote | None, part_size: int) -> Work[str]:
        begun = yield from flows.begin_upload(self._key, self._attributes, self._conditions, self._retries, size)
        if note is not None:
            yield Local(partial(note.save, begun.upload_id, part_size, self.said(size)))
        return begun.upload_id

    def said(self, size: int) -> str:
        """What the upload was begun with, in short: with anything else it is another upload."""
        request = requests.begin_upload(self._key, self._attributes, self._conditions, size=size)
        return hashlib.sha256(cast("bytes", request.body)).hexdigest()

    @property
    def options(self) -> Options:
        return self._options

    @property
    def retries(self) -> Retries:
        return self._retries

    @property
    def meter(self) -> Meter:
        return self._meter


class _InParts:
    """One content on its way in parts, noted or not."""

    def __init__(self, sending: _Sending, content: Content, note: UploadNote | None) -> None:
        self._sending = sending
        self._content = content
        self._note = note
        self._layout = upload_layout(content.size, sending.options.part_size)
        self._retries = sending.retries
        self._meter = sending.meter
        self._upload_id = ""
        self._arrived: dict[int, UploadedPart] = {}  # of an earlier try
        self._done: dict[int, UploadedPart] = {}
        self._sha256 = hashlib.sha256()

    def run(self) -> Work[ObjectInfo]:
        info = yield from self._earlier()
        if info is not None:
            return info
        if not self._upload_id:
            self._upload_id = yield from self._sending.begin(self._content.size, self._note, self._layout.part_size)
        try:
            options = self._sending.options
            works = chain(self._hashed(), map(self._part, range(self._layout.count)))
            yield Gather(works, options.concurrency + options.verify)
            self._content.check()
            parts = [self._done[number] for number in range(self._layout.count)]
            info = yield from flows.complete_upload(self._upload_id, parts, self._patience())
        except Exception as error:
            if self._note is None or isinstance(error, PreconditionFailed):
                # Nobody can go on with it.
                with suppress(ObjectStoreError):
                    yield from flows.abort_upload(self._upload_id, self._retries)
                self._forget()
            raise
        self._forget()
        told = info.digests.get("sha-256")
        if options.verify and told is not None and told != (self._content.digest or self._sha256.digest()):
            raise Corrupted(
                f"the object stored under {info.key!r} is wrong: its SHA-256 digest is not that of the bytes that were "
                "sent; upload it again"
            )
        return info

    def _earlier(self) -> Work[ObjectInfo | None]:
        """Look for an upload to go on with; the object, when it was completed and only the answer was lost."""
        noted = self._note.load() if self._note is not None else None
        if noted is None:
            return None
        try:
            if noted.said == self._sending.said(self._content.size):
                found = yield from flows.get_upload(noted.upload_id, self._retries)
                if found.completed is None:
                    self._layout = Layout(self._content.size, noted.part_size)
                    self._upload_id = noted.upload_id
                    self._arrived = {part.number - 1: part for part in found.parts}
                    return None
                if (yield from self._is_whole(found.completed)):
                    self._forget()
                    return found.completed
            else:
                yield from flows.abort_upload(noted.upload_id, self._retries)
        except UploadNotFound:
            pass
        self._forget()
        return None

    def _is_whole(self, info: ObjectInfo) -> Work[bool]:
        digest = self._content.digest
        if digest is None:
            digest = yield from local(partial(digest_of, self._content, 0, self._content.size))
        return info.digests.get("sha-256") == digest

    def _hashed(self) -> Iterator[Work[None]]:
        if self._sending.options.verify and self._content.digest is None:
            yield self._hash()

    def _hash(self) -> Work[None]:
        def feed(at: int) -> None:
            self._sha256.update(self._content.read_at(at, _STRIDE))

        for at in range(0, self._content.size, _STRIDE):
            yield Local(partial(feed, at))

    def _part(self, number: int) -> Work[None]:
        start, length = self._layout.start(number), self._layout.length(number)
        there = self._arrived.get(number)
        if there is not None and there.size == length and (yield from self._holds(there, start, start + length)):
            self._done[number] = there
            self._meter.add(length)
            return
        for _ in range(_TRIES):
            body = Slice(self._content, start, length, self._meter)
            part = yield from flows.put_part(self._upload_id, number + 1, body, self._retries)
            if part.digests.get("sha-256", body.sha256) == body.sha256:
                self._done[number] = part
                return
            self._meter.add(-length)
        raise Corrupted(f"part {number + 1} arrived damaged {_TRIES} times")

    def _holds(self, part: UploadedPart, start: int, stop: int) -> Work[bool]:
        """Whether a part that arrived earlier is still what there is here."""
        if self._content.digest is not None and self._untouched():
            # To read it would cost as much as to send it again. The digest of the whole is compared in the end.
            return True
        digest = yield from local(partial(digest_of, self._content, start, stop))
        # A store that tells no digests is believed as long as the source was not touched.
        return part.digests.get("sha-256", digest if self._untouched() else b"") == digest

    def _untouched(self) -> bool:
        return self._note is not None and self._note.untouched

    def _forget(self) -> None:
        if self._note is not None:
            self._note.drop()

    def _patience(self) -> Retries:
        # A server may take longer to put them together than the client waits for an answer; asking again is harmless.
        retries = self._retries
        return Retries(limit=retries.limit + self._content.size // _ASSEMBLED, delay=retries.delay)


class _OpenSource:
    """A path opened for reading. Closing it is harmless at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.file: BinaryIO | None = None
        self.content: FileContent | None = None  # None: of a pipe or a device
        self.small: InHand | None = None  # all of it, read already

    def open(self) -> None:
        self.file, self.content = open_content(self._path)
        if self.content is not None and self.content.size <= CHUNK:
            # With nothing to wait for in between, a small file takes one visit to the disk.
            data = self.content.read_at(0, CHUNK + 1)
            if len(data) == self.content.size:
                self.small = InHand(data)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
