"""An object being read, chunk by chunk, across lost connections."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from io import BytesIO
from typing import cast

from objectstore.client.drivers import AsyncDriver, Driver
from objectstore.client.hashing import BesideSha256
from objectstore.client.transport import AsyncResponse, Response
from objectstore.wire import flows
from objectstore.wire.downloads import Download
from objectstore.wire.replies import Reply
from objectstore.wire.retries import ConnectionFailed


class Reader:
    """An object being read: bytes `start` to `stop` (end exclusive) of it, all of one version.

    Iterating gives the chunks that have not been read yet, once. A connection that is lost is taken up again where it
    was. The end is reached only when everything has arrived and is, for a whole object, what its digest says.

    Raises (while iterating or reading):
        Corrupted: what arrived is not what is stored.
        Unavailable: the connection is lost for good, or the object was overwritten or deleted meanwhile.
    """

    def __init__(self, driver: Driver, download: Download, reply: Reply) -> None:
        self.info = download.info
        self.start = download.start  # bytes
        self.stop = download.stop  # bytes
        self._driver = driver
        self._download = download
        download.sha256 = BesideSha256()
        self._response = cast("Response", reply.stream)  # a driver of this kind opened it
        self._chunks = self._arriving()

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def read(self) -> bytes:
        """All that has not been read yet."""
        whole = BytesIO()
        for chunk in self._chunks:
            whole.write(chunk)
        # Gives away its own bytes, so that memory is taken and filled once: chunks to be joined take it twice.
        return whole.getvalue()

    def close(self) -> None:
        """Leave the rest unread. `stream` does it at the end of its `with`."""
        self._chunks.close()
        self._response.close()

    def _arriving(self) -> Generator[bytes]:
        download = self._download
        while True:
            try:
                for chunk in self._response:
                    download.feed(chunk)
                    yield chunk
                download.finish()
            except ConnectionFailed as failure:
                self._response.close()
                reply = self._driver.run(flows.resume(download, failure, self._driver.retries))
                self._response = cast("Response", reply.stream)
            else:
                return


class AsyncReader:
    """As `Reader`, read with `async for` and `await`."""

    def __init__(self, driver: AsyncDriver, download: Download, reply: Reply) -> None:
        self.info = download.info
        self.start = download.start  # bytes
        self.stop = download.stop  # bytes
        self._driver = driver
        self._download = download
        download.sha256 = BesideSha256()
        self._response = cast("AsyncResponse", reply.stream)  # a driver of this kind opened it
        self._chunks = self._arriving()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def read(self) -> bytes:
        """All that has not been read yet."""
        whole = BytesIO()
        async for chunk in self._chunks:
            whole.write(chunk)
        return whole.getvalue()

    async def aclose(self) -> None:
        """Leave the rest unread. `stream` does it at the end of its `async with`."""
        await self._chunks.aclose()
        await self._response.aclose()

    async def _arriving(self) -> AsyncGenerator[bytes, None]:
        download = self._download
        while True:
            try:
                async for chunk in self._response:
                    download.feed(chunk)
                    yield chunk
                download.finish()
            except ConnectionFailed as failure:
                await self._response.aclose()
                reply = await self._driver.run(flows.resume(download, failure, self._driver.retries))
                self._response = cast("AsyncResponse", reply.stream)
            else:
                return
