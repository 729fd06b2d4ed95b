"""The file system for fsspec: `objectstore://host:port/key`, and `objectstores://` for TLS."""

try:
    from objectstore.fsspec.filesystem import ObjectStoreFileSystem
except ModuleNotFoundError as missing:
    message = f"objectstore:// needs {(missing.name or '').partition('.')[0]}: pip install 'objectstore[fsspec]'"
    raise ModuleNotFoundError(message, name=missing.name) from missing

__all__ = ["ObjectStoreFileSystem"]
