"""What other servers answer, and what other programs left behind: what clients and backends read."""

from __future__ import annotations

import os
import tempfile
import zipfile
from datetime import UTC, datetime

from fuzz.checks import attempt, holds, json_of
from objectstore.backends.cloud import answers as s3_answers
from objectstore.backends.cloud.records import Found
from objectstore.backends.filesystem import records as files
from objectstore.backends.mediastore import records as media
from objectstore.backends.redis.records import parse_state
from objectstore.backends.zip.directory import OpenFile, parse_tail, read_directory
from objectstore.backends.zip.entries import info_of
from objectstore.client.transport.http1 import Answer, Malformed
from objectstore.errors import BadRequest, Corrupted, InternalError, ObjectStoreError
from objectstore.values import ListQuery
from objectstore.wire import replies
from objectstore.wire.errors import parse_error, parse_retry_after
from objectstore.wire.headers import parse_info
from objectstore.wire.replies import Reply
from objectstore.wire.requests import Request

_NOW = datetime(2026, 11, 26, tzinfo=UTC)


def http1(data: bytes) -> None:
    whole = _told(data, len(data) or 1)
    holds(whole == _told(data, 1), data)
    holds(whole == _told(data, 7), data)


def _told(data: bytes, step: int) -> object:
    """Status, fields and body of an answer that arrives in pieces; only that it is none, when it is none."""
    answer = Answer("GET")
    body = b""
    try:
        for at in range(0, len(data), step):
            body += answer.feed(data[at : at + step])
            if answer.done:
                return answer.status, answer.fields, body
        answer.end()
    except Malformed:
        return None
    return answer.status, answer.fields, body


def errors(data: bytes) -> None:
    status = 400 + len(data) % 200
    found = {b"retry-after": data, b"content-range": data, b"etag": data, b"allow": data, b"x-error-code": data}
    error = parse_error(status, found, data, now=_NOW)
    holds(isinstance(error, ObjectStoreError))
    str(error)
    wait = parse_retry_after(data, _NOW)
    holds(wait is None or wait >= 0, wait)
    attempt(lambda: parse_info("k", {b"etag": data, b"last-modified": data, b"x-created-at": data}, 1), BadRequest)


def client_replies(data: bytes) -> None:
    reply = Reply(status=200, fields={}, body=data, received=_NOW)
    request = Request("GET", "/objects")
    for read in (
        replies.read_record,
        replies.read_page,
        replies.read_deleted,
        replies.read_begun,
        replies.read_part,
        replies.read_upload,
        replies.read_uploads,
        replies.read_usage,
    ):
        attempt(lambda read=read: read(reply, request), InternalError)  # type: ignore[misc]
    attempt(lambda: replies.read_link(reply, request, "http://x"), InternalError)


def s3_listings(data: bytes) -> None:
    attempt(lambda: s3_answers.listed(data), s3_answers.Garbled)


def records(data: bytes) -> None:
    """Records beside objects in the file system, in Redis, in a media store and with objects of a bucket."""
    told = files.decode(data)
    files.load(told)
    files.parsed("k", data)
    value = json_of(data)
    media.load("k", {"metadata": {media.MEMBER: value}})
    # What stands before the record is told by our own script.
    attempt(lambda: parse_state("k", b"3 ab\n" + data, _NOW), Corrupted)
    attempt(lambda: parse_state("k", b"3 ab\n2026-11-26T00:00:00Z\n" + data, _NOW), Corrupted)
    text = data.decode("utf-8", "replace")
    info = Found(size=3, etag='"e"', modified=_NOW, fields={"objectstore": text, "x": text}).info("k")
    _ = info.created <= _NOW, info.modified.astimezone(UTC), info.etag.encode("latin-1", "replace")


def archives(data: bytes) -> None:
    attempt(lambda: parse_tail(data, 0), Corrupted)
    fd = os.memfd_create("archive") if hasattr(os, "memfd_create") else os.open(tempfile.mkstemp()[1], os.O_RDWR)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    directory = attempt(lambda: read_directory(OpenFile(fd), (0, 0, 0, 0)), zipfile.BadZipFile, OSError)
    if directory is not None:
        page = directory.page(ListQuery(limit=10))
        for key in page.keys:
            info_of(directory.find(key))
