"""The archive keeps the contract, as far as entries are only added: it is not one for the table of the model."""

from __future__ import annotations

from pathlib import Path

from objectstore.backends.zip import ZipBackend
from objectstore.testing.conformance import BackendConformance


class TestZip(BackendConformance):
    def backend(self, folder: Path) -> ZipBackend:
        return ZipBackend(folder / "archive.zip")
