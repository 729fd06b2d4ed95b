"""Objects as another server tells them, such that every request tells the same."""

from __future__ import annotations

from dataclasses import replace

from objectstore.values import DEFAULT_CONTENT_TYPE, Attributes, ObjectInfo

# An object without a content type is told with the default one, so the two are the same.
TYPELESS = Attributes(content_type=DEFAULT_CONTENT_TYPE)


def told(info: ObjectInfo) -> ObjectInfo:
    """Of the digests SHA-256 alone is in the headers of a GET."""
    digests = {name: digest for name, digest in info.digests.items() if name == "sha-256"}
    return replace(info, digests=digests, attributes=told_attributes(info.attributes))


def told_attributes(attributes: Attributes) -> Attributes:
    if attributes.content_type == DEFAULT_CONTENT_TYPE:
        return replace(attributes, content_type=None)
    return attributes
