"""The mediastore REST service as a store."""

from objectstore.backends.mediastore.backend import MediaBackend

__all__ = ["MediaBackend"]
