"""What S3 answers in ET."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

MAX_ANSWER: Final = 8 * 1024 * 1024  # bytes; a page of a thousand of the longest keys has less than half
_NOT_XML: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")


class Garbled(Exception):
    """An answer that is none."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of ListObjectsV2."""

    keys: tuple[str, ...]
    groups: tuple[str, ...]
    more: bool


def parse(body: bytes, root: str) -> ET.Element:
    """The element `root` that the body is. Raises Garbled."""
    # Entities are what makes XML dangerous; no answer of S3 declares any.
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise Garbled("it declares entities")
    try:
        found = ET.fromstring(body)  # noqa: S314  without entities
    except (ET.ParseError, LookupError, ValueError) as error:  # an encoding that nobody knows is a LookupError
        raise Garbled(str(error)) from error
    for element in found.iter():
        element.tag = element.tag.rpartition("}")[2]
    # rclone leaves the end of some names away.
    if found.tag.removesuffix("Result") != root.removesuffix("Result"):
        raise Garbled(f"it is <{found.tag}> and not <{root}>")
    return found


def text(element: ET.Element, name: str) -> str:
    """The text of a child. Raises Garbled."""
    found = element.findtext(name)
    if not found:
        raise Garbled(f"it has no {name}")
    return found


def listed(body: bytes) -> Listed:
    """Raises Garbled."""
    # Some servers repeat the query as it came, with characters that XML has not; names are encoded.
    told = _NOT_XML.sub(b"", body)
    page = parse(told, "ListBucketResult")
    encoded = page.findtext("EncodingType") == "url"
    if not encoded and told != body:
        raise Garbled("it has characters that are not of XML")
    return Listed(
        keys=tuple(_names(page, "Contents", "Key", encoded=encoded)),
        groups=tuple(_names(page, "CommonPrefixes", "Prefix", encoded=encoded)),
        more=text(page, "IsTruncated") == "true",
    )


def _names(page: ET.Element, entry: str, name: str, *, encoded: bool) -> Iterator[str]:
    for element in page.iterfind(entry):
        told = text(element, name)
        yield unquote_plus(told, errors="surrogateescape") if encoded else told


def completion(parts: list[str]) -> bytes:
    """The request that makes one object of parts with these etags, numbered from 1."""
    lines = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
        for number, etag in enumerate(parts, 1)
    )
    return f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()
