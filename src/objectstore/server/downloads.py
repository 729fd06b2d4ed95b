"""Bodies on their way out: bytes in hand, spans of files, streams, several ranges at once."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from objectstore.backends.contract import Backend
from objectstore.backends.reading import chunks
from objectstore.server.exchange import ClientGone, Exchange
from objectstore.values import (
    DEFAULT_CONTENT_TYPE,
    Bounded,
    Conditions,
    FileSpan,
    GetOptions,
    ObjectInfo,
    Reading,
)
from objectstore.wire.headers import format_info
from objectstore.wire.ranges import format_content_range


async def send_content(exchange: Exchange, reading: Reading) -> None:
    """Send all that is being read as the whole body, when it is not in hand. Raises Corrupted, ClientGone."""
    content = reading.content
    if isinstance(content, FileSpan) and content.path is not None and exchange.sends_files and _is_whole(content):
        await exchange.send_file(content.path, content.stop)
    else:
        await _send_chunks(exchange, chunks(reading))


async def send_several(
    backend: Backend, exchange: Exchange, info: ObjectInfo, spans: Sequence[tuple[int, int]], same: Conditions
) -> None:
    """Several spans of one version as `multipart/byteranges` (RFC 9110 §14.6)."""
    boundary = secrets.token_hex(12).encode()
    content_type = (info.attributes.content_type or DEFAULT_CONTENT_TYPE).encode()
    heads = [
        b"\r\n--%b\r\ncontent-type: %b\r\ncontent-range: %b\r\n\r\n"
        % (boundary, content_type, format_content_range(start, stop, info.size))
        for start, stop in spans
    ]
    end = b"\r\n--%b--\r\n" % boundary
    length = sum(map(len, heads)) + sum(stop - start for start, stop in spans) + len(end)

    async def parts() -> AsyncGenerator[bytes, None]:
        for head, (start, stop) in zip(heads, spans, strict=True):
            yield head
            async with backend.get(info.key, GetOptions(range=Bounded(start, stop), conditions=same)) as reading:
                async for chunk in chunks(reading):
                    yield chunk
        yield end

    fields = [pair for pair in format_info(info) if pair[0] != b"content-type"]
    fields.append((b"content-type", b"multipart/byteranges; boundary=" + boundary))
    fields.append((b"content-length", b"%d" % length))
    await exchange.start(206, fields)
    await _send_chunks(exchange, parts())


async def _send_chunks(exchange: Exchange, body: AsyncGenerator[bytes, None]) -> None:
    # Some servers take what is sent after the client has gone without a word: somebody has to listen.
    gone = asyncio.create_task(exchange.client_gone())
    try:
        async with aclosing(body):
            async for chunk in body:
                if gone.done():
                    raise ClientGone
                await exchange.send(chunk, more=True)
        await exchange.send(b"")
    finally:
        gone.cancel()


def _is_whole(span: FileSpan) -> bool:
    return span.start == 0 and span.stop == os.fstat(span.fd).st_size
