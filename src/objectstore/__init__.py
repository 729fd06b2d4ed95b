"""Objects over plain HTTP: a durable store and its Python clients."""

from __future__ import annotations

__version__ = "0.1.0"
