"""Objects as entries of a zip file. How one is added safely: `journal.py`; the promises: docs/stores/zip.md."""

from objectstore.backends.zip.backend import ZipBackend

__all__ = ["ZipBackend"]
