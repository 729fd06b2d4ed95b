"""A tiny distribution that adds types of stores, installed into a folder."""

from __future__ import annotations

from pathlib import Path

MODULE = """
from objectstore.backends.memory import MemoryBackend
from objectstore.config.parameters import TEXT, Parameter
from objectstore.config.storetype import StoreType


class Tape:
    def __init__(self, label):
        self.tape = {"label": label.encode()}

    def get(self, key):
        return self.tape[key]

    def exists(self, key):
        return key in self.tape


DRUM = StoreType(
    names=("DrumStore",),
    about="A drum.",
    parameters=(Parameter(name="rpm", kind=TEXT, required=True, about="Turns in a minute."),),
    build=lambda values, _: MemoryBackend({"rpm": values["rpm"].encode()}),
)
"""
ENTRY_POINTS = """\
[objectstore.stores]
TapeStore = tapes:Tape
DrumStore = tapes:DRUM
WornStore = tapes_worn:Worn
"""


def install(folder: Path, name: str = "tapes", entry_points: str = ENTRY_POINTS) -> None:
    """As pip leaves it: the module beside its metadata."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    (folder / f"{name}.py").write_text(MODULE)
    (folder / f"{name}_worn.py").write_text("raise RuntimeError('worn out')\n")
