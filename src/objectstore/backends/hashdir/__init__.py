"""Objects as files named by a hash of their key, in folders of few files each."""

from objectstore.backends.hashdir.backend import HashdirBackend

__all__ = ["HashdirBackend"]
