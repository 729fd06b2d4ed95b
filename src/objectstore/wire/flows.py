"""What a client does, step by step, written once for the client that blocks and the one that awaits.

A flow is a generator: it yields what it needs done, is sent the result, and returns a value. It is thrown what the
doing raised. Retries are part of it, so that clients only perform single steps.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar, cast

from objectstore.errors import (
    Corrupted,
    InvalidRange,
    NotFound,
    ObjectStoreError,
    PreconditionFailed,
    Unavailable,
    UploadNotFound,
)
from objectstore.values import UNCONDITIONAL, Attributes, Bounded, ByteRange, Conditions, ObjectInfo
from objectstore.wire import replies, requests
from objectstore.wire.downloads import Download
from objectstore.wire.links import SignedLink
from objectstore.wire.replies import BegunUpload, Deleted, Page, Reply, UnfinishedUpload, UploadedPart
from objectstore.wire.requests import MAX_BATCH, Piece, Request, Source
from objectstore.wire.retries import (
    Attempts,
    ConnectionFailed,
    Pause,
    Retries,
    fate_unknown,
    is_final,
    may_repeat,
    pause_before,
    surely_untouched,
    worth_repeating,
)
from objectstore.wire.usage import QuotaUsage, get_usage

T = TypeVar("T")
PART_SIZE: Final = 16 * 1024 * 1024  # bytes; large enough for a fast line, small enough to send again and to hold


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request, read the whole answer: a `Reply`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send the request, leave the body of a successful answer unread: a `Reply` with a `stream`."""

    request: Request
    take_whole: bool = False  # a body that has come with the head is given as after `Send`


@dataclass(frozen=True, slots=True)
class NextPart:
    """Read the next `size` bytes of what is uploaded: a `Piece`, which is smaller at its end."""

    size: int


@dataclass(frozen=True, slots=True)
class Close:
    """Close the stream of the reply, which nobody will read: None."""

    reply: Reply


Step: TypeAlias = Send | Open | Close | Pause | NextPart
Flow: TypeAlias = Generator[Step, Any, T]


def put(key: str, body: Source, attributes: Attributes, conditions: Conditions, retries: Retries) -> Flow[ObjectInfo]:
    """Store the body. Raises Corrupted: what was stored is not what was sent."""
    request = requests.put_object(key, body, attributes, conditions)
    info = replies.read_record((yield from send(request, retries)), request)
    told = info.digests.get("sha-256")
    if told is not None and body.sha256 is not None and told != body.sha256:
        raise Corrupted(
            f"the object stored under {key!r} is wrong: its SHA-256 digest is not that of the bytes that were sent; "
            "store it again"
        )
    return info


def copy(
    source: str, target: str, attributes: Attributes, conditions: Conditions, retries: Retries
) -> Flow[ObjectInfo]:
    request = requests.copy_object(source, target, attributes, conditions)
    return replies.read_record((yield from send(request, retries)), request)


def get(key: str, wanted: ByteRange | None, conditions: Conditions, retries: Retries) -> Flow[bytes]:
    """The bytes, counted and, when they are the whole object, compared with its digest."""
    request = requests.get_object(key, wanted, conditions)
    return replies.read_body((yield from send(request, retries)), request, wanted)


def get_small(key: str, most: int, conditions: Conditions, retries: Retries) -> Flow[tuple[ObjectInfo, bytes] | None]:
    """The object and its bytes, compared with its digest; None when it has more than `most` bytes, or none."""
    wanted = Bounded(0, most)
    request = requests.get_object(key, wanted, conditions)
    try:
        return replies.read_small((yield from send(request, retries)), request, wanted)
    except InvalidRange:
        return None


def get_or_open(
    key: str, wanted: ByteRange | None, conditions: Conditions, retries: Retries
) -> Flow[bytes | tuple[Download, Reply]]:
    """As `get` when the bytes come with the head of the answer, else as `open_object`.

    So a larger object is hashed while it moves, and of one that is cut only the rest is asked for again.
    """
    request = requests.get_object(key, wanted, conditions)
    reply = accepted((yield from deliver(Open(request, take_whole=True), retries)), request)
    if reply.stream is None:
        return replies.read_body(reply, request, wanted)
    return (yield from _begun(request, reply, wanted))


def open_object(
    key: str, wanted: ByteRange | None, conditions: Conditions, retries: Retries
) -> Flow[tuple[Download, Reply]]:
    """The object about to be read: the reply has its `stream`."""
    request = requests.get_object(key, wanted, conditions)
    reply = accepted((yield from deliver(Open(request), retries)), request)
    return (yield from _begun(request, reply, wanted))


def _begun(request: Request, reply: Reply, wanted: ByteRange | None) -> Flow[tuple[Download, Reply]]:
    try:
        return Download(request, reply, wanted), reply
    except ObjectStoreError:
        yield Close(reply)
        raise


def resume(download: Download, failure: ConnectionFailed, retries: Retries) -> Flow[Reply]:
    """The stream of what is missing after the connection was lost.

    Raises:
        Unavailable: it was lost too often without any byte coming, the object is no longer the same, or the server
            serves no ranges.
    """
    pause = pause_before(download.cut(), retries)
    if pause is None:
        raise Unavailable(str(failure)) from failure
    yield pause
    request = download.rest()
    reply = yield from deliver(Open(request), retries)
    try:
        accepted(reply, request)
    except (NotFound, PreconditionFailed) as error:
        message = f"the object under {download.info.key!r} was overwritten or deleted while it was read; read it again"
        raise Unavailable(message) from error
    if download.continues(reply):
        return reply
    yield Close(reply)
    if download.starts_over(reply):
        raise Unavailable(f"{failure}; the server serves no ranges, so the rest cannot be asked for: read it again")
    raise replies.not_ours(reply, request, "it is not the rest of the object that was being read")


def head(key: str, retries: Retries, conditions: Conditions = UNCONDITIONAL) -> Flow[ObjectInfo]:
    request = requests.head_object(key, conditions)
    return replies.read_info((yield from send(request, retries)), request)


def delete(key: str, conditions: Conditions, retries: Retries) -> Flow[None]:
    request = requests.delete_object(key, conditions)
    reply = yield from deliver(Send(request), retries)
    try:
        accepted(reply, request)
    except NotFound:
        # Absent after an earlier try whose answer was lost: that one did it.
        if not reply.repeated:
            raise


def delete_many(keys: Iterable[str], retries: Retries) -> Flow[Deleted]:
    """Delete all of them, `MAX_BATCH` with one request."""
    if isinstance(keys, str):
        raise TypeError("delete_many takes several keys, as in [key]; a single one is for delete")
    deleted: list[str] = []
    absent: list[str] = []
    failed: dict[str, ObjectStoreError] = {}
    for batch in _batches(dict.fromkeys(keys)):
        request = requests.delete_objects(batch)
        reply = yield from send(request, retries)
        done, errors = replies.read_deleted(reply, request)
        deleted += done
        for key, error in errors.items():
            if not isinstance(error, NotFound):
                failed[key] = error
            elif reply.repeated:
                deleted.append(key)
            else:
                absent.append(key)
    return Deleted(deleted=tuple(deleted), absent=tuple(absent), failed=failed)


def list_page(request: Request, cursor: str | None, retries: Retries) -> Flow[Page]:
    """The page that `request` asks for, which goes on at `cursor`."""
    reply = yield from send(request, retries)
    page = replies.read_page(reply, request)
    return page if cursor is None else _advanced(page, cursor, reply, request)


def upload(
    key: str,
    attributes: Attributes,
    conditions: Conditions,
    part_size: int,
    retries: Retries,
) -> Flow[ObjectInfo]:
    """Store what is read part by part: each part is sent again by itself when the connection is lost.

    What fits into one part is stored with one request.
    """
    part = yield from next_part(part_size)
    if part.size < part_size:
        return (yield from put(key, part, attributes, conditions, retries))
    begun = yield from begin_upload(key, attributes, conditions, retries)
    done: list[UploadedPart] = []
    try:
        while part.size:
            done.append((yield from put_part(begun.upload_id, len(done) + 1, part, retries)))
            part = yield from next_part(part_size)
        return (yield from complete_upload(begun.upload_id, done, retries))
    except Exception:
        with suppress(ObjectStoreError):  # it expires by itself; the first failure is the one to tell of
            yield from abort_upload(begun.upload_id, retries)
        raise


def begin_upload(
    key: str, attributes: Attributes, conditions: Conditions, retries: Retries, size: int | None = None
) -> Flow[BegunUpload]:
    """`size` is that of the whole object, when it is known."""
    request = requests.begin_upload(key, attributes, conditions, size=size)
    return replies.read_begun((yield from send(request, retries)), request)


def put_part(upload_id: str, number: int, body: Source, retries: Retries) -> Flow[UploadedPart]:
    request = requests.put_part(upload_id, number, body)
    return replies.read_part((yield from send(request, retries)), request)


def complete_upload(upload_id: str, parts: Iterable[UploadedPart], retries: Retries) -> Flow[ObjectInfo]:
    request = requests.complete_upload(upload_id, [(part.number, part.etag) for part in parts])
    return replies.read_record((yield from send(request, retries)), request)


def abort_upload(upload_id: str, retries: Retries) -> Flow[None]:
    request = requests.abort_upload(upload_id)
    reply = yield from deliver(Send(request), retries)
    try:
        accepted(reply, request)
    except UploadNotFound:
        if not reply.repeated:
            raise


def get_upload(upload_id: str, retries: Retries) -> Flow[UnfinishedUpload]:
    request = requests.get_upload(upload_id)
    return replies.read_upload((yield from send(request, retries)), request)


def list_uploads(cursor: str | None, retries: Retries) -> Flow[tuple[tuple[UnfinishedUpload, ...], str | None]]:
    """Some unfinished uploads, and the cursor to ask for more."""
    request = requests.list_uploads(cursor)
    return replies.read_uploads((yield from send(request, retries)), request)


def sign(request: Request, base: str, retries: Retries) -> Flow[SignedLink]:
    """The link that `request` asks for, below the URL `base`."""
    return replies.read_link((yield from send(request, retries)), request, base)


def usage(retries: Retries) -> Flow[Sequence[QuotaUsage]]:
    """What is kept under the prefixes that the token has a quota for."""
    request = get_usage()
    return replies.read_usage((yield from send(request, retries)), request)


def next_part(size: int) -> Flow[Piece]:
    return cast("Piece", (yield NextPart(size)))


def send(request: Request, retries: Retries) -> Flow[Reply]:
    """The successful reply to a request, or its error raised."""
    return accepted((yield from deliver(Send(request), retries)), request)


def accepted(reply: Reply, request: Request) -> Reply:
    """The reply, when it tells of a success. Raises what it tells of instead."""
    error = replies.error_of(reply, request)
    if error is None:
        return reply
    if fate_unknown(request, reply, error):
        raise _unknown(request, error.message) from error
    raise error


def deliver(step: Send | Open, retries: Retries) -> Flow[Reply]:
    """The reply to a request, which is sent again as often as that is allowed, safe and promising."""
    request = step.request
    repeated = False
    attempts = Attempts(retries)
    while True:
        try:
            reply: Reply = yield step
        except ConnectionFailed as failure:
            if failure.sent and not request.idempotent:
                raise _unknown(request, str(failure)) from failure
            tried = attempts.retried
            pause = attempts.pause() if may_repeat(request) else None
            if pause is None:
                raise Unavailable(_told(failure, tried, request)) from failure
            repeated |= failure.sent
        else:
            if is_final(reply.status):
                return replace(reply, repeated=True) if repeated else reply
            error = replies.error_of(reply, request)
            promising = error is not None and worth_repeating(request, reply, error) and may_repeat(request)
            pause = attempts.pause(error) if promising else None
            if pause is None:
                return reply
            repeated |= not surely_untouched(reply)
        yield pause


def _told(failure: ConnectionFailed, retry: int, request: Request) -> str:
    if not may_repeat(request):
        return f"{failure}; its body was read from what cannot be read again, so it was not sent again"
    return f"{failure} (tried {retry + 1} times)" if retry else str(failure)


def _unknown(request: Request, reason: str) -> Unavailable:
    return Unavailable(
        f"{reason}; it is not known whether the conditional {request.method} of {request.key!r} was carried out: "
        "look at the object before trying again"
    )


def _advanced(page: Page, cursor: str, reply: Reply, request: Request) -> Page:
    if page.next_cursor == cursor:
        raise replies.not_ours(reply, request, "its next page is itself")
    return page


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    left = iter(keys)
    while batch := list(islice(left, MAX_BATCH)):
        yield batch
