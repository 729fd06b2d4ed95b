"""Digests and attributes of an object as values of JSON, for records that lie beside its bytes."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from objectstore.core.attributes import check_attributes
from objectstore.errors import InvalidMetadata
from objectstore.values import NO_ATTRIBUTES, NO_DIGESTS, Attributes

_ETAG: Final = re.compile(r"[\x21\x23-\x7e\x80-\xff]+")  # RFC 9110 §8.8.3
_ATTRIBUTES: Final = tuple(field.name for field in fields(Attributes) if field.name != "metadata")


def dump_digests(digests: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(digest).decode() for name, digest in digests.items()}


def load_digests(value: Mapping[str, str]) -> Mapping[str, bytes]:
    """The digests that `dump_digests` was given. Raises ValueError, TypeError, AttributeError for anything else."""
    return {name: base64.b64decode(digest) for name, digest in value.items()} or NO_DIGESTS


def dump_attributes(attributes: Attributes) -> dict[str, Any] | None:
    """What is set of them; None when nothing is."""
    if attributes == NO_ATTRIBUTES:
        return None
    kept: dict[str, Any] = {name: given for name in _ATTRIBUTES if (given := getattr(attributes, name)) is not None}
    return kept | {"metadata": dict(attributes.metadata)}


def load_attributes(value: Mapping[str, Any] | None) -> Attributes:
    """The attributes that `dump_attributes` was given.

    Whoever may write files may write records too, so what would not survive a header is not believed.

    Raises ValueError, TypeError, AttributeError for anything else.
    """
    if value is None:
        return NO_ATTRIBUTES
    try:
        return check_attributes(Attributes(**value))
    except InvalidMetadata as error:
        raise ValueError(error) from error


def load_etag(value: str) -> str:
    """The etag itself, when it is one. Raises ValueError, TypeError."""
    if not _ETAG.fullmatch(value):
        raise ValueError("this would not survive a header")
    return value
