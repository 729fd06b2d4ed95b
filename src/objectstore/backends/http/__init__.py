"""What web servers serve, as objects that can be read."""

from objectstore.backends.http.backend import HttpBackend

__all__ = ["HttpBackend"]
