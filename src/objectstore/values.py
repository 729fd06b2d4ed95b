"""The frozen values that every layer may import. Each is valid once constructed."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
NO_DIGESTS: Final[Mapping[str, bytes]] = MappingProxyType({})


# Python 3.11 takes a read-only mapping for a mutable default and refuses it.
def _nothing() -> Mapping[str, str]:
    return NOTHING


def _no_digests() -> Mapping[str, bytes]:
    return NO_DIGESTS


Body: TypeAlias = bytes | AsyncIterable[bytes]
"""What is to be stored: all of it in hand, or chunks as they come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a writer says of an object beside its bytes; kept, and given back with it.

    The names are those of the HTTP fields (RFC 9110 §8, RFC 6266, RFC 9111).
    """

    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    metadata: Mapping[str, str] = field(default_factory=_nothing)  # names in lower case


NO_ATTRIBUTES: Final = Attributes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What is known of an object without reading it."""

    key: str
    size: int  # bytes
    etag: str  # opaque, unquoted; another one after every write
    created: datetime  # aware, UTC: when this key was first written since it was last absent
    modified: datetime  # aware, UTC: when these bytes were written
    digests: Mapping[str, bytes] = field(default_factory=_no_digests)  # algorithm (RFC 9530: "sha-256") to raw digest
    attributes: Attributes = NO_ATTRIBUTES

    def __hash__(self) -> int:
        # Equal ones have these in common; the mappings have no hash.
        return hash((self.key, self.etag))


@dataclass(frozen=True, slots=True)
class Bounded:
    """Bytes `start` to `stop`, end exclusive; `start < stop`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"a range has 0 <= start < stop, not {self.start} and {self.stop}")


@dataclass(frozen=True, slots=True)
class From:
    """All bytes from `start` on."""

    start: int

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ValueError(f"a range starts at 0 or later, not at {self.start}; Last counts from the end")


@dataclass(frozen=True, slots=True)
class Last:
    """The last `length` bytes, or all of a shorter object."""

    length: int

    def __post_init__(self) -> None:
        if self.length < 0:
            raise ValueError(f"the length of a range is not negative, as {self.length} is")


ByteRange: TypeAlias = Bounded | From | Last
"""Which bytes of an object are to be read."""

Etags: TypeAlias = Literal["*"] | tuple[str, ...]
"""Any object at all, or one with one of these etags (unquoted)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under which state of the object a request is to be carried out (RFC 9110 §13.1)."""

    if_match: Etags | None = None
    if_none_match: Etags | None = None
    if_modified_since: datetime | None = None  # reads only
    if_unmodified_since: datetime | None = None

    def __post_init__(self) -> None:
        for etags in (self.if_match, self.if_none_match):
            # A lone str would be taken for a collection of one-letter etags.
            if isinstance(etags, str) and etags != "*":
                raise TypeError(f"etags are '*' or a tuple: ({etags!r},)")


UNCONDITIONAL: Final = Conditions()
"""In any case."""

ONLY_IF_ABSENT: Final = Conditions(if_none_match="*")
"""Create: AlreadyExists when there is an object under the key; of many writers at the same time one wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much may be kept under `prefix`, whoever wrote it, for this write to be carried out.

    A write that makes nothing more of it is always carried out.
    """

    prefix: str  # raw leading characters; "" is the whole store
    size: int | None = None  # bytes, of objects and of parts that wait for their completion
    objects: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is kept under a prefix."""

    prefix: str
    objects: int
    size: int  # bytes of the objects
    parts_size: int  # bytes of parts of uploads that are not completed


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOptions:
    """How an object is to be written."""

    attributes: Attributes = NO_ATTRIBUTES
    conditions: Conditions = UNCONDITIONAL
    size: int | None = None  # bytes, when known beforehand; another length is IncompleteBody
    expected: Mapping[str, bytes] = field(default_factory=_no_digests)  # the body must have these, else DigestMismatch
    digests: frozenset[str] = frozenset()  # algorithms to compute and keep beside sha-256
    etag: str | None = None  # instead of one of the backend's choosing
    quota: Quota | None = None  # only given to backends that keep quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOptions:
    """Which part of an object is to be read, and when."""

    range: ByteRange | None = None
    conditions: Conditions = UNCONDITIONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """How an object is to be copied: `attributes` replace those of the source when given."""

    attributes: Attributes | None = None
    conditions: Conditions = UNCONDITIONAL  # on the target
    source: Conditions = UNCONDITIONAL
    quota: Quota | None = None  # of the target; only given to backends that keep quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteOptions:
    """How an upload in parts is to be completed."""

    quota: Quota | None = None  # only given to backends that keep quotas


COMPLETE: Final = CompleteOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """One page of keys in UTF-8 byte order.

    `start` is an inclusive lower bound; `core.listing` turns cursors and `start_after` into it.
    """

    prefix: str = ""  # raw leading characters
    delimiter: str = ""  # not empty: keys that share what comes before it are grouped
    start: str = ""
    limit: int = 100  # keys and groups together, at least 1
    details: bool = False

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"a page holds at least one key, not {self.limit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """What a listing found. `objects` is as long as `keys` when details were asked for, else empty."""

    keys: tuple[str, ...]
    prefixes: tuple[str, ...] = ()
    objects: tuple[ObjectInfo, ...] = ()
    next_start: str | None = None  # the `start` of the next page; None at the end


@dataclass(frozen=True, slots=True)
class Inline:
    """Bytes in hand."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FileSpan:
    """Bytes `start` to `stop` (end exclusive) of an open file.

    `fd` stays open as long as the reading does. `path`, when there is one, opens the same file and
    stays valid for some seconds after the reading is closed, so that a server may send by name.
    """

    fd: int
    start: int
    stop: int
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """Chunks as they come; iterated once."""

    chunks: AsyncIterator[bytes]


Content: TypeAlias = Inline | FileSpan | Streamed


@dataclass(frozen=True, slots=True)
class Reading:
    """An object being read: `content` holds bytes `start` to `stop` (end exclusive) of it."""

    info: ObjectInfo
    start: int
    stop: int
    content: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of an upload as it arrived."""

    number: int  # 1 to 10 000
    size: int  # bytes
    etag: str  # opaque, unquoted
    modified: datetime  # aware, UTC
    digests: Mapping[str, bytes] = field(default_factory=_no_digests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload in parts: an object on its way to `key`, invisible until completed."""

    upload_id: str
    key: str
    begun: datetime  # aware, UTC
    attributes: Attributes = NO_ATTRIBUTES
    conditions: Conditions = UNCONDITIONAL  # checked at completion, atomically with it
    parts: tuple[Part, ...] = ()  # in order of their numbers
    completed: ObjectInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPage:
    """Unfinished uploads in order of their ids; `parts` of each are left out."""

    uploads: tuple[Upload, ...]
    next_start: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do; asking for more is answered by `Unsupported` or `MethodNotAllowed`."""

    name: str  # the type name of storage.yaml
    persistent: bool = True  # data outlives the process
    shared: bool = True  # several processes may open the same data at once
    write: bool = True
    overwrite: bool = True  # an object that is there may be replaced
    delete: bool = True
    listing: bool = True
    ranges: bool = True
    conditions: bool = True  # on writes, atomic with them
    attributes: bool = True  # content type and metadata are kept
    digests: bool = True  # sha-256 of every object is known without reading it
    quotas: bool = False  # a `Quota` is kept, atomic with the write; such a backend is `contract.Metered`
    notes: tuple[str, ...] = field(default=())  # for people: limits in a sentence each
