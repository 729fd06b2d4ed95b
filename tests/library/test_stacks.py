"""A stack of many types, as one file describes it, works as one store."""

from __future__ import annotations

import base64
import gzip
import sqlite3
from pathlib import Path
from typing import Final

from objectstore import open_store

STACK: Final = """\
stores:
  logged: {type: AsyncLoggingStore, base: cached, config: {store_name: front}}
  cached:
    type: AsyncCachingStore
    base: {main_store: routed, cache_store: fast}
  fast: {type: DictStore}
  routed:
    type: AsyncRegexRoutingStore
    base: mirror
    config:
      routes:
      - {pattern: "^text/", store: text}
      - {pattern: "^web/", prefix: pages/}
      - {pattern: "", prefix: ""}
  text: {type: AsyncBase64Store, base: mirror}
  mirror: {type: AsyncFanoutStore, base: [packed, database]}
  packed: {type: AsyncGzipStore, base: files}
  files: {type: AsyncFilesystemStore, config: {root_path: "FOLDER/files"}}
  database: {type: AsyncSqliteStore, config: {db_path: "FOLDER/objects.db"}}
main: logged
"""


def test_a_stack_is_one_store_and_its_data_are_where_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "storage.yaml"
    file.write_text(STACK.replace("FOLDER", str(tmp_path)))
    objects = {"a": b"plain", "text/b": b"coded", "web/c": b"moved"}
    with open_store(file) as store:
        for key, data in objects.items():
            store.put(key, data)
        assert list(store.keys()) == sorted(objects)
        assert {key: store.get(key) for key in objects} == objects
    with open_store(file, "files") as store:
        assert gzip.decompress(store.get("a")) == b"plain"
        assert base64.b64decode(gzip.decompress(store.get("text/b"))) == b"coded"
        assert "pages/web/c" in list(store.keys())
    database = sqlite3.connect(tmp_path / "objects.db")
    try:
        [(data,)] = database.execute("SELECT data FROM objects WHERE key = 'text/b'").fetchall()
    finally:
        database.close()
    assert base64.b64decode(data) == b"coded"
    with open_store(file) as store:
        assert store.delete_many(objects).deleted == tuple(objects)
        assert list(store.keys()) == []
