"""A faster store in front of a slower one."""

from objectstore.wrappers.caching.backend import Caching

__all__ = ["Caching"]
