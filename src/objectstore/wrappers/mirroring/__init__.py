"""The same objects in several stores: written to all of them, read from the first that has them."""

from objectstore.wrappers.mirroring.backend import Mirroring

__all__ = ["Mirroring"]
