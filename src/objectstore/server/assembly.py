"""Settings → the application, ready to be served."""

from __future__ import annotations

from starlette.types import ASGIApp

from objectstore.auth.linksecret import FILE_NAME, LinkSecret
from objectstore.auth.signing import Links
from objectstore.auth.store import TokenStore
from objectstore.config.build import open_backend
from objectstore.config.settings import Settings, load_settings
from objectstore.server.application import Application
from objectstore.server.cors import Cors
from objectstore.server.limits import limits_of
from objectstore.server.observation.monitoring import Monitoring
from objectstore.server.secrecy import hide_links
from objectstore.server.service import Service


def assemble(settings: Settings | None = None) -> ASGIApp:
    """The application that the settings describe (those of the environment by default); nothing is opened yet.

    Raises:
        ConfigurationError: in one line, what to change.
    """
    settings = load_settings() if settings is None else settings
    hide_links()
    tokens = TokenStore(settings.auth_tokens_file)
    secret = settings.link_secret_file or settings.auth_tokens_file.with_name(FILE_NAME)
    service = Service(
        backend=open_backend(settings),
        tokens=tokens,
        max_object_size=settings.max_object_size,
        upload_ttl=settings.upload_ttl,
        links=Links(tokens, LinkSecret(secret)),
        link_max_ttl=settings.link_max_ttl,
        public_url=settings.public_url,
        limits=limits_of(settings),
    )
    monitoring = Monitoring(metrics_public=settings.metrics_public, tally_folder=settings.prometheus_multiproc_dir)
    application = Application(service, docs_public=settings.docs_public, monitoring=monitoring)
    return Cors(application, settings.cors_origins) if settings.cors_origins else application
