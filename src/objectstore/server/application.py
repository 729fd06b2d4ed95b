"""The application: the data plane for `/objects`, and FastAPI for everything else.

The framework takes longer to import than a million objects take to open, and the data plane does not need it. So it
is imported when the server has begun to serve, by a thread, or when the first request needs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Final

from objectstore.errors import LengthRequired, ObjectStoreError, Overloaded, TooLarge
from objectstore.server import collector
from objectstore.server.admission import Admission
from objectstore.server.answers import find_uvicorn
from objectstore.server.dataplane import DataPlane, serves
from objectstore.server.exchange import Exchange, Receive, Scope, Send, raw_path_of
from objectstore.server.heads import amend_uvicorn
from objectstore.server.leaving import Leaving, gone, serving
from objectstore.server.linked import exchange_of
from objectstore.server.liveness import asks_for_life, tell_of_life
from objectstore.server.observation import logs
from objectstore.server.observation.metrics import Metrics
from objectstore.server.observation.monitoring import DEFAULT_MONITORING, Monitoring
from objectstore.server.observation.observer import Observer
from objectstore.server.observation.tally import Tally
from objectstore.server.preflights import Answering, is_preflight
from objectstore.server.publicpaths import DESCRIPTION_PATHS, HEALTH_PATHS, METRICS_PATH
from objectstore.server.readiness import Readiness
from objectstore.server.service import Service
from objectstore.server.traffic import Traffic

if TYPE_CHECKING:
    from objectstore.server.framework import Framework

_log: Final = logging.getLogger("objectstore.server")

MAX_JSON_SIZE: Final = 8 * 1024 * 1024  # bytes: a thousand of the longest keys, escaped to the last character
_SETTLED: Final = 1.0  # seconds after the start: those who waited for it have their answers


class Application:
    """Serves `service`. An ASGI application for any server; a lifespan opens and closes the store."""

    def __init__(
        self, service: Service, *, docs_public: bool = True, monitoring: Monitoring = DEFAULT_MONITORING
    ) -> None:
        self._service = service
        self._public = HEALTH_PATHS | (DESCRIPTION_PATHS if docs_public else frozenset())
        self._metrics_public = monitoring.metrics_public
        if monitoring.metrics_public:
            self._public |= {METRICS_PATH}
        tally = Tally(monitoring.tally_folder)
        self._tracing = monitoring.tracing
        self._access_log = monitoring.access_log
        self._observer = Observer(tally, None if self._access_log is None else self._access_log.note)
        service.limits.on_refusal = self._observer.refused
        self._readiness = Readiness(service)
        self._metrics = Metrics(tally, service.backend, service.limits.limiter, self._readiness.is_ready)
        self._admission = Admission(service)
        self._traffic = Traffic(service.limits)
        self._leaving = Leaving(self._traffic.leave_soon)
        self._dataplane = DataPlane(service, self._admission)
        self._preflight: Answering | None = None
        self._framework: Framework | None = None
        self._building = threading.Lock()

    def answer_preflights(self, preflight: Answering) -> None:
        """Have `preflight` answer what browsers ask before they let a page do something."""
        self._preflight = preflight

    def framework(self) -> Framework:
        """The FastAPI application, made when it is first asked for, by any thread: that takes a while."""
        with self._building:
            if self._framework is None:
                from objectstore.server.framework import Framework

                self._framework = Framework(
                    self._service, self._readiness, self._metrics, metrics_public=self._metrics_public
                )
            return self._framework

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})  # before it is accepted: 403
        elif scope["type"] == "http":
            raw_path = raw_path_of(scope)
            receive = self._traffic.enter(scope, receive)
            for_objects = serves(scope["method"], raw_path)
            serve: Answering = self._dataplane if for_objects else self._route
            if self._preflight is not None and is_preflight(scope):
                serve, for_objects = self._preflight, False
            exchange = (exchange_of if for_objects else Exchange)(scope, receive, send, raw_path)
            if self._leaving.begun:
                self._leaving.take_in(exchange)
            began = self._observer.begin(exchange)
            try:
                answer = self._overloaded if self._traffic.full(scope) else serve
                if self._tracing is None:
                    await answer(exchange)
                else:
                    with self._tracing.request(exchange):
                        await answer(exchange)
            finally:
                self._traffic.leave(scope)
                self._observer.end(exchange, began)

    async def _overloaded(self, exchange: Exchange) -> None:
        with contextlib.suppress(ObjectStoreError):
            exchange.parse_fields()  # the client's own name for the request is in them
        await exchange.refuse(Overloaded())
        await exchange.drain()

    async def _route(self, exchange: Exchange) -> None:
        try:
            await self._admit(exchange)
        except ObjectStoreError as error:
            await exchange.refuse(error)
        else:
            if asks_for_life(exchange):
                await tell_of_life(exchange)
            else:
                framework = self._framework
                if framework is None:
                    framework = await asyncio.to_thread(self.framework)
                await framework(exchange.scope, exchange.receive, exchange.relay)
                exchange.route = self._route_of(exchange)
        if exchange.method in {"PUT", "POST"}:
            await exchange.drain()

    def _route_of(self, exchange: Exchange) -> str:
        """The template of the path that has just been served; nothing when it leads nowhere."""
        route = exchange.scope.get("route")
        if route is not None:
            template: str = route.path
            return template
        path = exchange.raw_path.decode("latin-1")
        return path if path in self._public else ""

    async def _admit(self, exchange: Exchange) -> None:
        exchange.parse_fields()
        if exchange.raw_path.decode("latin-1") in self._public:
            return
        exchange.scope.setdefault("state", {})["credential"] = await self._admission.admit(exchange)
        exchange.admitted = True
        if exchange.method == "POST":
            length = exchange.content_length
            if length is None:
                raise LengthRequired("send the JSON with a Content-Length")
            if length > MAX_JSON_SIZE:
                raise TooLarge(MAX_JSON_SIZE)

    async def _prepare(self) -> None:
        """Have the framework before anybody waits for it, and what is logged by."""
        await asyncio.sleep(_SETTLED)
        await asyncio.to_thread(logs.prepare)
        if self._framework is None:
            await asyncio.to_thread(self.framework)
        collector.keep()

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan protocol: a store that cannot be opened is told in one line."""
        await receive()
        amend_uvicorn()
        find_uvicorn()
        try:
            await self._service.open()
        except ObjectStoreError as error:
            await send({"type": "lifespan.startup.failed", "message": f"the store cannot be opened: {error}"})
            return
        except Exception as error:  # noqa: BLE001  logged and told; nobody above would
            # Left to the server software, some would serve all the same, with a store that is not open.
            _log.exception("the store could not be opened")
            await send({"type": "lifespan.startup.failed", "message": f"the store cannot be opened: {error!r}"})
            return
        collector.spare()  # of what was imported and built
        running = (self._metrics.run(), self._traffic.watch(), self._prepare())
        beside = [asyncio.create_task(one) for one in running]
        serving(self._leaving)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        gone(self._leaving)
        for task in beside:
            task.cancel()
        await self._service.close()
        if self._access_log is not None:
            self._access_log.flush()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.flush)
        await send({"type": "lifespan.shutdown.complete"})
