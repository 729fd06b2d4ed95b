"""Settings → the application, ready to be served."""

from __future__ import annotations

import sys
from pathlib import Path

from objectstore.auth.linksecret import FILE_NAME, LinkSecret
from objectstore.auth.signing import Links
from objectstore.auth.store import TokenStore
from objectstore.config.build import engine_folders, open_backend
from objectstore.config.settings import Settings, load_settings
from objectstore.ratelimit.addresses import client_address
from objectstore.server.application import Application
from objectstore.server.exchange import Asgi, Exchange
from objectstore.server.limits import limits_of
from objectstore.server.observation.accesslog import AccessLog
from objectstore.server.observation.logs import form_of
from objectstore.server.observation.monitoring import Monitoring
from objectstore.server.observation.tracing import Traced, tracing
from objectstore.server.scrubbing import Scrubber
from objectstore.server.service import Service


def assemble(settings: Settings | None = None) -> Asgi:
    """The application that the settings describe (those of the environment by default); nothing is opened yet.

    Raises:
        ConfigurationError: in one line, what to change.
    """
    settings = load_settings() if settings is None else settings
    tokens = TokenStore(settings.auth_tokens_file)
    backend = open_backend(settings)
    traces = tracing()
    service = Service(
        backend=backend if traces is None else Traced(backend, traces),
        tokens=tokens,
        max_object_size=settings.max_object_size,
        upload_ttl=settings.upload_ttl,
        links=Links(tokens, LinkSecret(_link_secret(settings))),
        link_max_ttl=settings.link_max_ttl,
        public_url=settings.public_url,
        limits=limits_of(settings),
        scrubbers=_scrubbers(settings),
    )
    monitoring = Monitoring(
        metrics_public=settings.metrics_public,
        access_log=_access_log(settings) if settings.access_log else None,
        tracing=traces,
        tally_folder=settings.prometheus_multiproc_dir,
    )
    application = Application(service, docs_public=settings.docs_public, monitoring=monitoring)
    if not settings.cors_origins:
        return application
    from objectstore.server.cors import Cors

    return Cors(application, settings.cors_origins)


def _access_log(settings: Settings) -> AccessLog:
    proxies = settings.trusted_proxies

    def client_of(exchange: Exchange) -> str | None:
        peer = exchange.peer
        return None if peer is None else client_address(peer, exchange.fields.get(b"x-forwarded-for"), proxies)

    form = form_of(settings.log_format, sys.stderr)
    return AccessLog(sys.stderr, form, settings.log_level, client_of=client_of if proxies else None)


def _scrubbers(settings: Settings) -> tuple[Scrubber, ...]:
    if not settings.scrub_interval:
        return ()
    return tuple(
        Scrubber(path=path, interval=settings.scrub_interval, rate=settings.scrub_rate)
        for path in engine_folders(settings)
    )


def _link_secret(settings: Settings) -> Path:
    if settings.link_secret_file is not None:
        return settings.link_secret_file
    # Where there is a folder of ours it can be made there; the token file may be a mount that is only read.
    folder = settings.auth_tokens_file.parent if settings.data_dir is None else settings.data_dir
    return folder / FILE_NAME
