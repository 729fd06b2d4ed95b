"""What the index says: point reads, pages of keys, uploads, garbage. Reads only; `transaction.py` writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from objectstore.backends.engine.failures import translate
from objectstore.backends.engine.rows import PartRow, Row, UploadRow
from objectstore.values import Usage

_COLUMNS: Final = "key, seq, size, etag, created, modified, sha256, digests, attributes, blob"
_ROW: Final = f"SELECT {_COLUMNS} FROM objects WHERE key = ?"  # noqa: S608  the columns are ours
_ROW_AND_BODY: Final = f"SELECT {_COLUMNS}, data FROM objects LEFT JOIN bodies USING (seq) WHERE key = ?"  # noqa: S608  as above
_ROWS: Final = f"SELECT {_COLUMNS} FROM objects WHERE key IN (SELECT value FROM json_each(?))"  # noqa: S608  as above
_ROWS_FROM: Final = f"SELECT {_COLUMNS} FROM objects WHERE key >= ? ORDER BY key LIMIT ?"  # noqa: S608  as above
_KEYS_FROM: Final = "SELECT key FROM objects WHERE key >= ? ORDER BY key LIMIT ?"
_PARTS: Final = "SELECT upload, number, seq, size, etag, modified, sha256, digests, blob FROM parts WHERE upload = ?"
_UPLOAD_COLUMNS: Final = "id, key, begun, attributes, conditions, size, expected, digests, etag, completed"


class Index:
    """The index as one connection sees it. Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def row(self, key: str) -> Row | None:
        found = self._fetch(_ROW, (key,))
        return Row._make(found[0]) if found else None

    def row_and_body(self, key: str) -> tuple[Row, bytes | None] | None:
        """The row, with its body when that is in the index."""
        found = self._fetch(_ROW_AND_BODY, (key,))
        return (Row._make(found[0][:10]), found[0][10]) if found else None

    def rows(self, keys: Iterable[str]) -> list[Row]:
        """The rows there are of these keys."""
        return [Row._make(found) for found in self._fetch(_ROWS, (json.dumps(list(keys), ensure_ascii=False),))]

    def rows_from(self, start: str, limit: int) -> list[Row]:
        """Up to `limit` rows in the order of their keys."""
        return [Row._make(found) for found in self._fetch(_ROWS_FROM, (start, limit))]

    def keys_from(self, start: str, limit: int) -> list[str]:
        """Up to `limit` keys in their order."""
        return [key for (key,) in self._fetch(_KEYS_FROM, (start, limit))]

    def body(self, seq: int) -> bytes | None:
        found = self._fetch("SELECT data FROM bodies WHERE seq = ?", (seq,))
        return found[0][0] if found else None

    def last_seq(self) -> int:
        """The number of the latest change."""
        ((last,),) = self._fetch("SELECT last FROM sequence", ())
        return int(last)

    def sequences(self) -> tuple[int, int | None]:
        """The number of the latest change, and of the one that usage is counted up to, if any is."""
        ((last, counted),) = self._fetch("SELECT last, (SELECT last FROM usage_sequence) FROM sequence", ())
        return last, counted

    def usage(self, prefixes: Sequence[str]) -> dict[str, Usage]:
        """What is kept under those of the prefixes that are counted, as of now."""
        query = """SELECT prefix, objects, size, parts_size FROM usage WHERE prefix IN (SELECT value FROM json_each(?))
            AND (SELECT last FROM usage_sequence) = (SELECT last FROM sequence)"""
        return {
            prefix: Usage(prefix=prefix, objects=objects, size=size, parts_size=parts_size)
            for prefix, objects, size, parts_size in self._fetch(query, (json.dumps(prefixes, ensure_ascii=False),))
        }

    def upload(self, upload_id: str) -> UploadRow | None:
        found = self._fetch(f"SELECT {_UPLOAD_COLUMNS} FROM uploads WHERE id = ?", (upload_id,))  # noqa: S608  the columns are ours
        return UploadRow._make(found[0]) if found else None

    def unfinished(self, start: str, limit: int) -> list[UploadRow]:
        """Up to `limit` uploads that are not completed, in the order of their ids."""
        query = f"SELECT {_UPLOAD_COLUMNS} FROM uploads WHERE id >= ? AND completed IS NULL ORDER BY id LIMIT ?"  # noqa: S608  as above
        return [UploadRow._make(found) for found in self._fetch(query, (start, limit))]

    def begun_before(self, time: int, limit: int) -> list[str]:
        """Ids of up to `limit` uploads that were begun, or if they are completed, completed before that time."""
        query = "SELECT id FROM uploads WHERE coalesce(json_extract(completed, '$.modified'), begun) < ? LIMIT ?"
        return [upload_id for (upload_id,) in self._fetch(query, (time, limit))]

    def parts(self, upload_id: str) -> list[PartRow]:
        """In the order of their numbers."""
        return [PartRow._make(found) for found in self._fetch(f"{_PARTS} ORDER BY number", (upload_id,))]

    def part(self, upload_id: str, number: int) -> PartRow | None:
        found = self._fetch(f"{_PARTS} AND number = ?", (upload_id, number))
        return PartRow._make(found[0]) if found else None

    def refers_to(self, blob: str) -> bool:
        """Whether an object or a part has this blob for its body."""
        query = "SELECT EXISTS (SELECT 1 FROM objects WHERE blob = ?) OR EXISTS (SELECT 1 FROM parts WHERE blob = ?)"
        return bool(self._fetch(query, (blob, blob))[0][0])

    def known_among(self, blobs: Sequence[str]) -> set[str]:
        """Those of the blobs that a row names: an object's, a part's, or one of garbage."""
        query = """WITH asked AS MATERIALIZED (SELECT value AS blob FROM json_each(?))
            SELECT objects.blob FROM asked JOIN objects ON objects.blob = asked.blob
            UNION SELECT parts.blob FROM asked JOIN parts ON parts.blob = asked.blob
            UNION SELECT blob FROM garbage WHERE blob IN (SELECT blob FROM asked)"""
        return {blob for (blob,) in self._fetch(query, (json.dumps(list(blobs)),))}

    def garbage_since(self, time: int, limit: int) -> list[tuple[int, str]]:
        """The oldest garbage up to that time: when it became garbage, and the blob."""
        query = "SELECT since, blob FROM garbage WHERE since <= ? ORDER BY since, blob LIMIT ?"
        return self._fetch(query, (time, limit))

    def garbage_after(self, time: int, limit: int) -> list[tuple[int, str]]:
        """The same of what is dated later than that time."""
        return self._fetch(
            "SELECT since, blob FROM garbage WHERE since > ? ORDER BY since, blob LIMIT ?", (time, limit)
        )

    def _fetch(self, query: str, values: tuple[object, ...]) -> list[Any]:
        return self._execute(query, values).fetchall()


class ReadIndex(Index):
    """The index as callers read it: what SQLite complains of is raised as an error of ours."""

    def _fetch(self, query: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return self._execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise translate(error) from error
