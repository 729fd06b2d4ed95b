"""Objects as rows of an SQLite database. Its tables: `schema.py`; the promises: docs/stores/sqlite.md."""

from objectstore.backends.sqlite.backend import SqliteBackend

__all__ = ["SqliteBackend"]
