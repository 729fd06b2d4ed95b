"""A small mediastore service: what the real one does, as far as its REST interface shows it."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from peer import free_port

BASE64 = {"pk": 1, "type": "DictStore", "bucket": "", "s3_url": ""}
SIGNED = {"pk": 2, "type": "BucketStore", "bucket": "b", "s3_url": "http://s3"}


class _Anything(Convertor[str]):
    """Line ends too, which `path` leaves out."""

    regex = r"(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("anything", _Anything())


@dataclass
class Mediastore:
    """The service and what it holds. Tests may look into it, and make it fail."""

    port: int
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    stores: list[dict[str, Any]] = field(default_factory=lambda: [BASE64, SIGNED])
    media: dict[str, dict[str, Any]] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)  # by store_key
    failing: dict[str, int] = field(default_factory=dict)  # path to the status that it is answered with

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def clear(self) -> None:
        self.stores = [BASE64, SIGNED]
        for held in (self.media, self.content, self.failing):
            held.clear()

    def add(self, pid: str, data: bytes, store: dict[str, Any] = BASE64) -> None:
        """As another program does, without a record of ours."""
        self._create({"pid": pid, "pid_type": "DEFAULT", "store_config": store})
        self.content[self.media[pid]["store_key"]] = data

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/login", self._login, methods=["POST"]),
                Route("/api/stores", self._stores),
                Route("/api/upload", self._upload, methods=["POST"]),
                Route("/api/download/{pid:anything}", self._download),
                Route("/api/media/dump", self._dump),
                Route("/api/media/{pid:anything}", self._medium),
                Route("/api/media/{pid:anything}", self._delete, methods=["DELETE"]),
                Route("/bucket/{store_key}", self._get_content),
                Route("/bucket/{store_key}", self._put_content, methods=["PUT"]),
            ]
        )

    async def _login(self, request: Request) -> Response:
        if await request.json() == {"username": "user", "password": "right"}:
            return JSONResponse({"token": self.token})
        return JSONResponse({"error": "Invalid credentials"}, 401)

    async def _stores(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse(self.stores)

    async def _upload(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        told = await request.json()
        medium = told["mediadata"]
        if medium["pid"] in self.media:
            return JSONResponse({"error": "<class 'IntegrityError'>: UNIQUE constraint failed: media.pid"}, 401)
        if told.get("base64"):
            self._create(medium)
            self.content[self.media[medium["pid"]]["store_key"]] = base64.b64decode(told["base64"])
            return JSONResponse({"status": "READY"})
        if medium["store_config"]["type"] != "BucketStore":
            return JSONResponse({"error": "<class 'AssertionError'>: "}, 401)
        self._create(medium)
        return JSONResponse({"status": "PENDING", "presigned_put": self._signed(medium["pid"])})

    async def _download(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        pid = request.path_params["pid"]
        medium = self.media.get(pid)
        if medium is None:
            return JSONResponse({"pid": pid, "error": "<class 'Media.DoesNotExist'>", "msg": "no such medium"}, 401)
        if medium["store_config"]["type"] == "BucketStore":
            return JSONResponse({"mediadata": medium, "presigned_get": self._signed(pid)})
        data = base64.b64encode(self.content[medium["store_key"]]).decode()
        return JSONResponse({"mediadata": medium, "base64": data})

    async def _dump(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse(list(self.media.values()))

    async def _medium(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        medium = self.media.get(request.path_params["pid"])
        return Response("Internal Server Error", 500) if medium is None else JSONResponse(medium)

    async def _delete(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        medium = self.media.pop(request.path_params["pid"], None)
        return JSONResponse({"detail": "Not Found"}, 404) if medium is None else JSONResponse(204)

    async def _get_content(self, request: Request) -> Response:
        assert "authorization" not in request.headers
        data = self.content.get(request.path_params["store_key"])
        if data is None:
            return Response(status_code=404)
        wanted = request.headers.get("range")
        if wanted is None:
            return Response(data)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(data) - int(last))
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= stop:
            return Response(status_code=416, headers={"content-range": f"bytes */{len(data)}"})
        return Response(data[start:stop], 206, {"content-range": f"bytes {start}-{stop - 1}/{len(data)}"})

    async def _put_content(self, request: Request) -> Response:
        assert "authorization" not in request.headers
        if status := self.failing.get("/bucket"):
            return Response(status_code=status)
        self.content[request.path_params["store_key"]] = await request.body()
        return Response()

    def _refusal(self, request: Request) -> Response | None:
        if status := self.failing.get(request.url.path):
            return Response("failing", status)
        if request.headers.get("authorization") == f"Bearer {self.token}":
            return None
        return JSONResponse({"detail": "Unauthorized"}, 401)

    def _create(self, medium: dict[str, Any]) -> None:
        known = {"store_key": secrets.token_hex(8), "store_status": "PENDING", "metadata": {}, "tags": []}
        self.media[medium["pid"]] = known | medium

    def _signed(self, pid: str) -> str:
        return f"{self.url}/bucket/{self.media[pid]['store_key']}?X-Signature=1"


@contextmanager
def running_mediastore() -> Iterator[Mediastore]:
    """The service, in a thread of its own."""
    service = Mediastore(free_port())
    configuration = uvicorn.Config(service.application(), port=service.port, log_level="error", lifespan="off")
    server = uvicorn.Server(configuration)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    try:
        yield service
    finally:
        server.should_exit = True
        thread.join()
