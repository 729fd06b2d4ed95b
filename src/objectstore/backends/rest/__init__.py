"""Another server of this kind as a store."""

from objectstore.backends.rest.backend import RestBackend

__all__ = ["RestBackend"]
