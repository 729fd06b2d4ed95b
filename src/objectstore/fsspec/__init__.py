"""The file system for fsspec: `objectstore://host:port/key`, and `objectstores://` for TLS."""

from objectstore.fsspec.filesystem import ObjectStoreFileSystem

__all__ = ["ObjectStoreFileSystem"]
