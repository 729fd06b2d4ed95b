"""Which content type, kept fields and metadata an object may carry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from objectstore.errors import InvalidMetadata
from objectstore.values import Attributes

MAX_ATTRIBUTES_SIZE: Final = 8 * 1024  # bytes of all names and values together
# Each is a header field of its own, and many a client and proxy reads no answer with more than a hundred.
MAX_ENTRIES: Final = 64  # of metadata

# What travels in a header must survive it: a token for a name (RFC 9110 §5.6.2), a value without controls
# and without white space at its ends, which every parser on the way strips.
_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def fields(attributes: Attributes) -> Iterator[tuple[str, str]]:
    """Each attribute that says something, as (HTTP field name in lower case, value), without the metadata."""
    if attributes.content_type:
        yield "content-type", attributes.content_type
    if attributes.content_encoding:
        yield "content-encoding", attributes.content_encoding
    if attributes.content_disposition:
        yield "content-disposition", attributes.content_disposition
    if attributes.content_language:
        yield "content-language", attributes.content_language
    if attributes.cache_control:
        yield "cache-control", attributes.cache_control


def check_attributes(attributes: Attributes) -> Attributes:
    """`attributes` themselves, when they can be kept and travel in headers unchanged.

    Raises:
        InvalidMetadata: more than 8 KiB in all or 64 entries of metadata, a name that is no lower-case header token,
            or a value with control characters, lone surrogates or white space at its ends.
    """
    if len(attributes.metadata) > MAX_ENTRIES:
        raise InvalidMetadata(f"there are {len(attributes.metadata)} entries of metadata; {MAX_ENTRIES} are accepted")
    size = 0
    for name, value in fields(attributes):
        size += len(name) + _value_size(name, value)
    for name, value in attributes.metadata.items():
        if not _NAME.fullmatch(name):
            raise InvalidMetadata(
                f"the metadata name {name!r} is not made of lower-case letters, digits and !#$%&'*+.^_`|~-"
            )
        size += len(name) + _value_size(name, value)
    if size > MAX_ATTRIBUTES_SIZE:
        raise InvalidMetadata(f"kept headers and metadata have {size} bytes; {MAX_ATTRIBUTES_SIZE} are accepted")
    return attributes


def _value_size(name: str, value: str) -> int:
    if _CONTROL.search(value) or value != value.strip(" \t"):
        raise InvalidMetadata(f"the value of {name!r} has control characters, or white space at its ends")
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        raise InvalidMetadata(f"the value of {name!r} is not valid Unicode") from None
