"""What kind of thing a file is, by its name."""

from __future__ import annotations

import mimetypes
from functools import lru_cache
from typing import Final

# A compressed file is stored as what it is: as Content-Encoding, readers would unpack it unasked.
_COMPRESSED: Final = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/x-brotli",
}


def guess_content_type(*names: str) -> str | None:
    """The content type that the first name with a known ending stands for."""
    for name in names:
        content_type, encoding = _guess(_ending(name))
        if encoding is not None:
            return _COMPRESSED.get(encoding)
        if content_type is not None:
            return content_type
    return None


def _ending(name: str) -> str:
    """A name of which the same is guessed, and that many have in common."""
    last = name.rpartition("/")[2]
    if last.startswith("."):
        return last
    stem, *endings = last.rsplit(".", 2)
    return ".".join((stem and "x", *endings))


@lru_cache(maxsize=256)
def _guess(name: str) -> tuple[str | None, str | None]:
    return mimetypes.guess_type(name, strict=False)
