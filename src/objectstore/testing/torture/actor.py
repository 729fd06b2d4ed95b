"""Does tasks to a server and writes down what came of each: events for the checker, and what is wrong by itself."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from objectstore.client.sync import RestStore
from objectstore.errors import (
    AlreadyExists,
    NotFound,
    ObjectStoreError,
    PreconditionFailed,
    Retryable,
)
from objectstore.testing.torture.bodies import body_of, is_copy, name_of, written_by
from objectstore.testing.torture.history import CopyMade, CopySeen, Event, Kind, Record
from objectstore.testing.torture.workload import COPIES, HOT, STABLE, Task
from objectstore.values import ONLY_IF_ABSENT, UNCONDITIONAL, Conditions, From, ObjectInfo

_WRITE: Final = "write"  # the entry of the metadata that names it
_PAGE: Final = 7  # keys; few, so that a listing takes several pages
_PATIENCE: Final = 30.0  # seconds


def stable_write(key: str) -> str:
    """The write that put the object there which nobody ever touches."""
    return name_of("stable", key.rpartition("/")[2], 0, 1000)


def connect(url: str, token: str) -> RestStore:
    """A client that tries everything once, so that one request is one operation."""
    return RestStore.create(url, token, timeout=_PATIENCE, max_retries=0)


class Unanswered(Exception):
    """The server, or the way to it, is away."""


class Actor:
    """One thread of one client in one round; `place` is its name in the history."""

    def __init__(self, store: RestStore, seed: int, place: str, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._store = store
        self._seed = seed
        self._place = place
        self._now = now
        self.record = Record()

    def perform(self, task: Task) -> None:
        """Do it, and write down what came of it. Raises Unanswered when no answer came."""
        self.attempt(f"{task.kind} {task.key!r}", lambda: self._do(task))

    def attempt(self, what: str, act: Callable[[], object]) -> None:
        """Call one of the other methods; an error that it should not end with is a complaint. Raises Unanswered."""
        try:
            act()
        except Retryable as error:
            self.record.unanswered += 1
            raise Unanswered(str(error)) from error
        except ObjectStoreError as error:
            self._complain(f"{what}: {type(error).__name__}: {error}")
        self.record.answered += 1

    def _do(self, task: Task) -> None:
        match task.kind:
            case "put":
                self._put(task, UNCONDITIONAL)
            case "create":
                self._put(task, ONLY_IF_ABSENT)
            case "replace":
                self._replace(task)
            case "upload":
                self._upload(task)
            case "copy":
                self._copy(task, UNCONDITIONAL)
            case "create copy":
                self._copy(task, ONLY_IF_ABSENT)
            case "delete":
                self._delete(task.key)
            case "delete unchanged":
                self._delete_unchanged(task.key)
            case "delete many":
                self._delete_many(dict.fromkeys((task.key, task.other)))
            case "get":
                self.get(task.key)
            case "get range":
                self._get_range(task.key, task.cut)
            case "head":
                self._head(task.key)
            case "list":
                self.list(task.other)

    def _put(self, task: Task, conditions: Conditions, expected: str | None = None) -> None:
        write = name_of("put", self._place, task.number, task.size)
        body = self._body(write)
        kind: Kind = "write" if conditions is UNCONDITIONAL else "swap"
        self._write(
            task.key,
            kind,
            write,
            expected,
            lambda: self._store.put(task.key, body, conditions=conditions, metadata={_WRITE: write}),
        )

    def _replace(self, task: Task) -> None:
        found = self._head(task.key)
        if found is not None:
            self._put(task, Conditions(if_match=(found.etag,)), _write_of(found))

    def _copy(self, task: Task, conditions: Conditions) -> None:
        write = name_of("copy", self._place, task.number, 0)
        start = self._now()
        kind: Kind = "write" if conditions is UNCONDITIONAL else "swap"
        info = None
        try:
            info = self._write(
                task.other,
                kind,
                write,
                None,
                lambda: self._store.copy(task.key, task.other, conditions=conditions, metadata={_WRITE: write}),
            )
        except Retryable:
            self.record.copies.append(CopyMade(write=write, source=task.key, start=start, end=None))
            raise
        except NotFound:
            self._note(task.key, "saw", start)
        if info is not None:
            self.record.copies.append(
                CopyMade(write=write, source=task.key, start=start, end=self._now(), digest=_digest(info))
            )

    def _upload(self, task: Task) -> None:
        write = name_of("upload", self._place, task.number, task.size)
        body = self._body(write)
        conditions = ONLY_IF_ABSENT if task.cut < 0.5 else UNCONDITIONAL
        start = self._now()
        try:
            begun = self._store.begin_upload(task.key, conditions=conditions, metadata={_WRITE: write})
        except AlreadyExists:
            self._note(task.key, "refused", start)
            return
        arrived = self.record.parts[begun.upload_id] = []
        at = [len(body) * number // task.parts for number in range(task.parts + 1)]
        parts = []
        for number in range(1, task.parts + 1):
            parts.append(self._store.put_part(begun.upload_id, number, body[at[number - 1] : at[number]]))
            arrived.append(number)
        # From here on its parts may be gone rightly: into the object.
        del self.record.parts[begun.upload_id]
        kind: Kind = "write" if conditions is UNCONDITIONAL else "swap"
        self._write(task.key, kind, write, None, lambda: self._store.complete_upload(begun.upload_id, parts))

    def _write(
        self, key: str, kind: Kind, write: str, expected: str | None, ask: Callable[[], ObjectInfo]
    ) -> ObjectInfo | None:
        start = self._now()
        try:
            info = ask()
        except PreconditionFailed:
            self._note(key, "refused", start, expected=expected)
            return None
        except Retryable:
            self._note(key, kind, start, write, expected, answered=False)
            raise
        self._note(key, kind, start, write, expected)
        self.record.etags[info.etag] = write
        return info

    def _delete(self, key: str) -> None:
        start = self._now()
        try:
            self._store.delete(key)
        except NotFound:
            self._note(key, "saw", start)
        except Retryable:
            self._note(key, "delete", start, answered=False)
            raise
        else:
            self._note(key, "delete", start)

    def _delete_unchanged(self, key: str) -> None:
        found = self._head(key)
        if found is None:
            return
        write = _write_of(found)
        start = self._now()
        try:
            self._store.delete(key, conditions=Conditions(if_match=(found.etag,)))
        except NotFound:
            self._note(key, "saw", start)
        except PreconditionFailed:
            self._note(key, "refused", start, expected=write)
        except Retryable:
            self._note(key, "swap", start, None, write, answered=False)
            raise
        else:
            self._note(key, "swap", start, None, write)

    def _delete_many(self, keys: Iterable[str]) -> None:
        start = self._now()
        try:
            outcome = self._store.delete_many(keys)
        except Retryable:
            for key in keys:
                self._note(key, "delete", start, answered=False)
            raise
        for key in outcome.deleted:
            self._note(key, "delete", start)
        for key in outcome.absent:
            self._note(key, "saw", start)
        for key, error in outcome.failed.items():
            self._complain(f"deleting {key!r} among others: {error}")

    def get(self, key: str) -> None:
        """Read the whole object, and look at every byte."""
        start = self._now()
        try:
            with self._store.stream(key) as reader:
                info, data = reader.info, reader.read()
        except NotFound:
            self._note(key, "saw", start)
            return
        write = self._seen(info, start)
        body = written_by(self._seed, data)
        if body is None:
            self._complain(f"the body of {key!r} ({write}, {len(data)} bytes) is that of no write")
        elif is_copy(write):
            self.record.seen.append(CopySeen(write=write, body=body, end=self._now()))
        elif body != write:
            self._complain(f"the body of {key!r} is that of {body}, its record that of {write}")

    def _get_range(self, key: str, cut: float) -> None:
        found = self._head(key)
        if found is None or found.size == 0:
            return
        first = int(found.size * cut)
        start = self._now()
        try:
            with self._store.stream(key, range=From(first), conditions=Conditions(if_match=(found.etag,))) as reader:
                info, data = reader.info, reader.read()
        except NotFound:
            self._note(key, "saw", start)
            return
        except PreconditionFailed:
            self._note(key, "refused", start, expected=_write_of(found))
            return
        write = self._seen(info, start)
        if not is_copy(write) and body_of(self._seed, write)[first:] != data:
            self._complain(f"{key!r} from {first} on ({write}) is not what was written")

    def _head(self, key: str) -> ObjectInfo | None:
        start = self._now()
        try:
            found = self._store.head(key)
        except NotFound:
            self._note(key, "saw", start)
            return None
        self._seen(found, start)
        return found

    def list(self, prefix: str) -> None:
        """List, page by page: each key of the prefix is there or is not, and no other is."""
        start = self._now()
        found: list[ObjectInfo] = []
        page = self._store.list(prefix, limit=_PAGE, details=True)
        while True:
            found += page.objects
            if page.next_cursor is None:
                break
            page = self._store.list(prefix, limit=_PAGE, details=True, cursor=page.next_cursor)
        keys = [info.key for info in found]
        if keys != sorted(set(keys), key=str.encode):
            self._complain(f"the listing of {prefix!r} is not in order: {keys}")
        there = {info.key: info for info in found}
        wanted = {key for key in (*HOT, *COPIES, *STABLE) if key.startswith(prefix)}
        if strange := sorted(there.keys() - wanted):
            self._complain(f"the listing of {prefix!r} shows keys that were never written: {strange}")
        for key in sorted(wanted):
            info = there.get(key)
            if key in STABLE:
                if info is None or _write_of(info) != stable_write(key):
                    self._complain(f"the listing of {prefix!r} misses {key!r}, which was there all along: {keys}")
            elif info is None:
                self._note(key, "saw", start)
            else:
                self._seen(info, start)

    def settle_stable(self) -> None:
        """Write what nobody touches later."""
        for key in STABLE:
            write = stable_write(key)
            self._store.put(key, self._body(write), metadata={_WRITE: write})

    def look_at_stable(self) -> None:
        """Is what nobody touches as it was written?"""
        for key in STABLE:
            try:
                data = self._store.get(key)
            except NotFound:
                data = b""
            if written_by(self._seed, data) != stable_write(key):
                self._complain(f"{key!r}, which was acknowledged and never touched, is not there whole")

    def check_uploads(self, arrived: Mapping[str, Sequence[int]]) -> None:
        """Are the parts there that were acknowledged, of uploads that nobody completed?"""
        found = {upload.upload_id for upload in self._store.uploads()}
        for upload_id, numbers in arrived.items():
            if upload_id not in found:
                self._complain(f"the upload {upload_id}, which was acknowledged, is gone")
                continue
            parts = {part.number for part in self._store.get_upload(upload_id).parts}
            if lost := sorted(set(numbers) - parts):
                self._complain(f"the parts {lost} of the upload {upload_id}, which were acknowledged, are gone")

    def end_uploads(self) -> None:
        """Abort what nobody completed."""
        for upload in list(self._store.uploads()):
            self._store.abort_upload(upload.upload_id)

    def _body(self, write: str) -> bytes:
        body = body_of(self._seed, write)
        self.record.digests[sha256(body).hexdigest()] = write
        return body

    def _seen(self, info: ObjectInfo, start: int) -> str:
        write = _write_of(info)
        self._note(info.key, "saw", start, write)
        if self.record.etags.setdefault(info.etag, write) != write:
            self._complain(f"the etag {info.etag} was given to {write} and to {self.record.etags[info.etag]}")
        return write

    def _note(
        self,
        key: str,
        kind: Kind,
        start: int,
        value: str | None = None,
        expected: str | None = None,
        *,
        answered: bool = True,
    ) -> None:
        end = self._now() if answered else None
        self.record.events.append(
            Event(key=key, kind=kind, start=start, end=end, value=value, expected=expected, who=self._place)
        )

    def _complain(self, complaint: str) -> None:
        self.record.complaints.append(complaint)


def _write_of(info: ObjectInfo) -> str:
    return info.attributes.metadata.get(_WRITE, f"(no name: {b64encode(info.etag.encode()).decode()})")


def _digest(info: ObjectInfo) -> str:
    return info.digests["sha-256"].hex()
