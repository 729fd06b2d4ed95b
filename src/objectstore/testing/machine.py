"""Does the same, at random, to a backend and to the model, and compares.

In a test: `run_state_machine_as_test(machine(lambda folder: MyBackend(folder / "data")), settings=SETTINGS)`.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, initialize, multiple, precondition, rule

from objectstore.backends.contract import Backend
from objectstore.backends.reading import read_all
from objectstore.errors import DigestMismatch, IncompleteBody, InvalidKey, NotFound, ObjectStoreError, UploadNotFound
from objectstore.testing.draws import (
    ATTRIBUTES,
    BODIES,
    DELIMITERS,
    KEYS,
    PREFIXES,
    RANGES,
    READ_CONDITIONS,
    STARTS,
    WRITE_CONDITIONS,
    Made,
)
from objectstore.testing.model import Begun, Errors, Model, selected
from objectstore.testing.suite.harness import BodyFailed, chunked, failing
from objectstore.values import (
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Attributes,
    ByteRange,
    CopyOptions,
    GetOptions,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
)

T = TypeVar("T")
Opener: TypeAlias = Callable[[Path], AbstractAsyncContextManager[Backend]]

MOST_READINGS: Final = 3
MOST_UPLOADS: Final = 3


class BackendMachine(RuleBasedStateMachine):
    """A backend beside the model; `machine` makes one for a given backend."""

    used: Final = Bundle[str]("used")  # keys that were written, though perhaps deleted since

    def opener(self, folder: Path) -> AbstractAsyncContextManager[Backend]:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.readings: list[tuple[AsyncExitStack, Reading, bytes]] = []
        self.opened = self.open()

    def open(self) -> AbstractAsyncContextManager[Backend]:
        opened = self.opener(Path(self.folder.name))
        self.backend = self.run(opened.__aenter__())
        return opened

    def close(self) -> None:
        while self.readings:
            self.finish_reading(0)
        self.run(self.opened.__aexit__(None, None, None))

    def teardown(self) -> None:
        try:
            self.close()
        finally:
            self.runner.close()
            self.folder.cleanup()

    def run(self, call: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await call

        return self.runner.run(awaited())

    def outcome(self, call: Awaitable[T], errors: Errors, *keys: str) -> T | None:
        """The result; None when the call failed with one of `errors`, or refused a key that it cannot hold."""
        try:
            result = self.run(call)
        except InvalidKey:
            assert not all(key in self.model.objects for key in keys), "a key that is held cannot be refused"
            return None
        except ObjectStoreError as error:
            if type(error) not in errors:
                raise
            return None
        assert not errors, f"one of {errors} should come"
        return result

    def current(self, key: str) -> ObjectInfo | None:
        stored = self.model.objects.get(key)
        return None if stored is None else stored.info

    def kept(self, attributes: Attributes) -> Attributes:
        """None for a backend that refuses them."""
        return attributes if self.backend.capabilities.attributes else NO_ATTRIBUTES

    @initialize(target=used, keys=st.lists(KEYS, max_size=8), data=BODIES)
    def stock(self, keys: Sequence[str], data: bytes) -> MultipleResults[str]:
        for key in keys:
            self.put(key, data, NO_ATTRIBUTES)
        return multiple(*keys)

    @rule(target=used, key=KEYS, data=BODIES, attributes=ATTRIBUTES)
    def put(self, key: str, data: bytes, attributes: Attributes) -> str:
        self.put_when(key, data, attributes, lambda _: UNCONDITIONAL, whole=True)
        return key

    @rule(key=used, data=BODIES, attributes=ATTRIBUTES, made=WRITE_CONDITIONS, whole=st.booleans())
    def put_when(self, key: str, data: bytes, attributes: Attributes, made: Made, whole: bool) -> None:
        conditions = made(self.current(key))
        attributes = self.kept(attributes)
        options = PutOptions(
            attributes=attributes,
            conditions=conditions,
            size=len(data) if whole else None,
            expected={"sha-256": hashlib.sha256(data).digest()} if whole else {},
        )
        errors = self.model.write_errors(key, conditions)
        info = self.outcome(self.backend.put(key, data if whole else chunked(data, 50_000), options), errors, key)
        if info is not None:
            self.model.wrote(key, data, attributes, info)

    @rule(key=KEYS, data=BODIES)
    def put_what_breaks_off(self, key: str, data: bytes) -> None:
        try:
            self.run(self.backend.put(key, failing(data)))
        except (BodyFailed, InvalidKey):
            return
        raise AssertionError("the body failed, and its write did not")

    @rule(key=KEYS, data=BODIES)
    def put_of_another_size(self, key: str, data: bytes) -> None:
        options = PutOptions(size=len(data) + 1)
        self.outcome(self.backend.put(key, chunked(data), options), {IncompleteBody}, key)

    @rule(key=KEYS, data=BODIES)
    def put_of_another_digest(self, key: str, data: bytes) -> None:
        options = PutOptions(expected={"sha-256": bytes(32)})
        self.outcome(self.backend.put(key, chunked(data), options), {DigestMismatch}, key)

    @rule(key=used, made=WRITE_CONDITIONS)
    def delete(self, key: str, made: Made) -> None:
        conditions = made(self.current(key))
        errors = self.model.delete_errors(key, conditions)
        self.outcome(self.backend.delete(key, conditions), errors, key)
        if not errors:
            del self.model.objects[key]

    @rule(keys=st.lists(st.one_of(used, KEYS), max_size=3))
    def delete_many(self, keys: list[str]) -> None:
        for key, error in zip(keys, self.run(self.backend.delete_many(keys)), strict=True):
            assert (error is None) == (key in self.model.objects)
            assert error is None or isinstance(error, NotFound | InvalidKey)
            self.model.objects.pop(key, None)

    @rule(
        source=used,
        key=KEYS,
        attributes=st.one_of(st.none(), ATTRIBUTES),
        made=WRITE_CONDITIONS,
        made_source=READ_CONDITIONS,
    )
    def copy(self, source: str, key: str, attributes: Attributes | None, made: Made, made_source: Made) -> None:
        there = self.current(source)
        attributes = None if attributes is None else self.kept(attributes)
        options = CopyOptions(attributes=attributes, conditions=made(self.current(key)), source=made_source(there))
        errors = {*self.model.source_errors(source, options.source), *self.model.write_errors(key, options.conditions)}
        info = self.outcome(self.backend.copy(source, key, options), errors, source, key)
        if info is not None and there is not None:
            kept = there.attributes if attributes is None else attributes
            self.model.wrote(key, self.model.objects[source].data, kept, info)

    @rule(key=used, wanted=RANGES, made=READ_CONDITIONS)
    def read(self, key: str, wanted: ByteRange | None, made: Made) -> None:
        options = GetOptions(range=wanted, conditions=made(self.current(key)))
        errors = self.model.read_errors(key, options.conditions, wanted)
        read = self.outcome(self._read(key, options), errors, key)
        if read is not None:
            self._compare(key, wanted, *read)

    async def _read(self, key: str, options: GetOptions) -> tuple[Reading, bytes]:
        async with self.backend.get(key, options) as reading:
            return reading, await read_all(reading)

    def _compare(self, key: str, wanted: ByteRange | None, reading: Reading, data: bytes) -> None:
        stored = self.model.objects[key]
        assert reading.info == stored.info
        positions = selected(wanted, len(stored.data))
        assert positions is not None
        assert (reading.start, reading.stop) == (positions.start, positions.stop)
        assert data == stored.data[positions.start : positions.stop]

    @rule(key=st.one_of(used, KEYS))
    def head(self, key: str) -> None:
        info = self.outcome(self.backend.head(key), self.model.read_errors(key, UNCONDITIONAL), key)
        assert info == self.current(key)

    @precondition(lambda self: len(self.readings) < MOST_READINGS)
    @rule(key=used, wanted=RANGES)
    def begin_reading(self, key: str, wanted: ByteRange | None) -> None:
        stack = AsyncExitStack()
        errors = self.model.read_errors(key, UNCONDITIONAL, wanted)
        opening = stack.enter_async_context(self.backend.get(key, GetOptions(range=wanted)))
        reading = self.outcome(opening, errors, key)
        if reading is not None:
            self.readings.append((stack, reading, self.model.objects[key].data[reading.start : reading.stop]))

    @precondition(lambda self: self.readings)
    @rule(index=st.integers(0, 2))
    def finish_reading(self, index: int) -> None:
        stack, reading, expected = self.readings.pop(index % len(self.readings))
        assert self.run(read_all(reading)) == expected, "a reading keeps its version"
        self.run(stack.aclose())

    @rule(prefix=PREFIXES, delimiter=DELIMITERS, start=STARTS, limit=st.integers(1, 6), details=st.booleans())
    def list(self, prefix: str, delimiter: str, start: str, limit: int, details: bool) -> None:
        query = ListQuery(prefix=prefix, delimiter=delimiter, start=start, limit=limit, details=details)
        page = self.run(self.backend.list(query))
        assert ([*page.keys], [*page.prefixes], page.next_start is not None) == self.model.page(query)
        assert page.objects == (tuple(self.model.objects[key].info for key in page.keys) if details else ())

    @rule(delimiter=DELIMITERS, limit=st.integers(1, 6))
    def walk(self, delimiter: str, limit: int) -> None:
        keys: list[str] = []
        groups: list[str] = []
        start: str | None = ""
        while start is not None:
            page = self.run(self.backend.list(ListQuery(delimiter=delimiter, start=start, limit=limit)))
            keys += page.keys
            groups += page.prefixes
            start = page.next_start
        assert (keys, groups, False) == self.model.page(ListQuery(delimiter=delimiter, limit=1_000_000))

    @precondition(lambda self: len(self.model.uploads) < MOST_UPLOADS)
    @rule(key=KEYS, attributes=ATTRIBUTES, made=WRITE_CONDITIONS)
    def begin_upload(self, key: str, attributes: Attributes, made: Made) -> None:
        options = PutOptions(attributes=self.kept(attributes), conditions=made(self.current(key)))
        errors = self.model.write_errors(key, options.conditions)
        upload = self.outcome(self.backend.uploads.begin(key, options), errors, key)
        if upload is not None:
            self.model.uploads[upload.upload_id] = Begun(key, options)

    @precondition(lambda self: self.model.uploads)
    @rule(index=st.integers(0, 2), number=st.integers(1, 4), data=BODIES)
    def put_part(self, index: int, number: int, data: bytes) -> None:
        upload_id, upload = self._upload(index)
        errors: Errors = set() if upload.completed is None else {UploadNotFound}
        part = self.outcome(self.backend.uploads.put_part(upload_id, number, chunked(data), PutOptions()), errors)
        if part is not None:
            assert (part.number, part.size) == (number, len(data))
            upload.parts[number] = part, data

    @precondition(lambda self: self.model.uploads)
    @rule(index=st.integers(0, 2))
    def look_at_upload(self, index: int) -> None:
        upload_id, upload = self._upload(index)
        if upload.completed is None:
            found = self.run(self.backend.uploads.get(upload_id))
            assert found.parts == tuple(part for _, (part, _) in sorted(upload.parts.items()))
            assert (found.key, found.attributes) == (upload.key, upload.options.attributes)

    @rule()
    def list_uploads(self) -> None:
        page = self.run(self.backend.uploads.list())
        unfinished = [one for one, upload in self.model.uploads.items() if upload.completed is None]
        assert [upload.upload_id for upload in page.uploads] == sorted(unfinished)

    @precondition(lambda self: self.model.uploads)
    @rule(index=st.integers(0, 2), left_out=st.integers(0, 5), stale=st.booleans())
    def complete_upload(self, index: int, left_out: int, stale: bool) -> None:
        upload_id, upload = self._upload(index)
        named = [(number, part.etag) for number, (part, _) in sorted(upload.parts.items()) if number != left_out]
        if stale and named:
            named[-1] = (named[-1][0], "stale")
        if upload.completed is not None:
            assert self.run(self.backend.uploads.complete(upload_id, named)) == upload.completed
            return
        errors = self.model.completion_errors(upload_id, named)
        info = self.outcome(self.backend.uploads.complete(upload_id, named), errors, upload.key)
        if info is not None:
            self.model.wrote(upload.key, self.model.joined(upload_id, named), upload.options.attributes, info)
            upload.completed = info

    @precondition(lambda self: self.model.uploads)
    @rule(index=st.integers(0, 2))
    def abort_upload(self, index: int) -> None:
        upload_id, upload = self._upload(index)
        if upload.completed is None:
            self.run(self.backend.uploads.abort(upload_id))
            del self.model.uploads[upload_id]

    @rule()
    def expire_uploads(self) -> None:
        assert self.run(self.backend.uploads.expire(datetime.now(UTC) + timedelta(days=1))) == len(self.model.uploads)
        self.model.uploads.clear()

    def _upload(self, index: int) -> tuple[str, Begun]:
        # In the order of their beginning: ids are random, and a failure has to come again.
        upload_id = [*self.model.uploads][index % len(self.model.uploads)]
        return upload_id, self.model.uploads[upload_id]

    @precondition(lambda self: self.backend.capabilities.persistent)
    @rule()
    def reopen(self) -> None:
        self.close()
        self.opened = self.open()

    @rule()
    def compare_everything(self) -> None:
        for key in self.model.objects:
            self._compare(key, None, *self.run(self._read(key, GetOptions())))
        self.walk("", 6)


def machine(opener: Opener) -> type[BackendMachine]:
    """The machine for the backends that `opener` gives on a folder, new or known."""

    class Machine(BackendMachine):
        def opener(self, folder: Path) -> AbstractAsyncContextManager[Backend]:
            return opener(folder)

    return Machine
