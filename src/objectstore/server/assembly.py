"""Settings → the application, ready to be served."""

from __future__ import annotations

from objectstore.auth.store import TokenStore
from objectstore.config.build import open_backend
from objectstore.config.settings import Settings, load_settings
from objectstore.server.application import Application
from objectstore.server.service import Service


def assemble(settings: Settings | None = None) -> Application:
    """The application that the settings describe (those of the environment by default); nothing is opened yet.

    Raises:
        ConfigurationError: in one line, what to change.
    """
    settings = load_settings() if settings is None else settings
    service = Service(
        backend=open_backend(settings),
        tokens=TokenStore(settings.auth_tokens_file),
        max_object_size=settings.max_object_size,
        upload_ttl=settings.upload_ttl,
    )
    return Application(service, describe=settings.docs_public)
