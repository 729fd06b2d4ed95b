"""Where the files of objects lie under a root: what differs between the stores that are made of such files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from objectstore.backends.filesystem import paths, walk
from objectstore.values import ListPage, ListQuery, ObjectInfo


class Layout(ABC):
    """Which file a key has, and how keys are found again; two keys never have one file."""

    name: str  # of the type of store
    notes: tuple[str, ...]  # what it gives up, a sentence each
    indexed: bool = False  # whether keys are kept beside the files, since their names do not tell them

    @abstractmethod
    def segments(self, key: str) -> Sequence[str]:
        """The folder names on the way to the object's file, and the name of the file. Raises InvalidKey."""

    @abstractmethod
    def list_page(self, root: int, query: ListQuery, describe: Callable[[str], ObjectInfo | None]) -> ListPage:
        """The page that answers `query`; `describe` tells of a key, or None when it is gone by now."""

    def open(self, hidden: Path) -> None:  # noqa: B027  nothing, unless it is indexed, as all that follows
        """Make ready what is kept in the store's own folder. Raises OSError, ConfigurationError."""

    def close(self) -> None:  # noqa: B027  as above
        """Close what `open` opened, if it was called."""

    def appearing(self, key: str) -> None:  # noqa: B027  as above
        """The key's file is about to be there, perhaps once more; called under the lock of the key."""

    def gone(self, key: str) -> None:  # noqa: B027  as above
        """The key's file was removed for good; called under the lock of the key."""


class Plain(Layout):
    """The object `a/b.txt` is the file `a/b.txt`."""

    name = "FilesystemStore"
    notes = (
        f"A key that no path can be is refused: empty, '.' and '..' segments, long ones, those under {paths.HIDDEN}/.",
        "An object cannot be the folder of another: one of `a` and `a/b`, whichever comes second, is refused.",
        "Files put there by other programs are objects, without attributes and digests.",
        "Symbolic links are not followed, and names that are not UTF-8 are passed over.",
        "A page of a listing reads the names of a whole folder, however many they are.",
        "Conditions hold between all processes of this program; other programs that write files know nothing of them.",
    )

    def segments(self, key: str) -> Sequence[str]:
        return paths.segments(self.name, key)

    def list_page(self, root: int, query: ListQuery, describe: Callable[[str], ObjectInfo | None]) -> ListPage:
        return walk.list_page(root, query, describe)
