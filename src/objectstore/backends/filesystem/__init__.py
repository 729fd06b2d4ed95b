"""Objects as plain files under a root folder. How they lie there: `tree.py`; the promises: docs/filesystem.md."""

from objectstore.backends.filesystem.backend import FilesystemBackend

__all__ = ["FilesystemBackend"]
