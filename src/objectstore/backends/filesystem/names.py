"""Whether a file system tells names apart as keys are told apart: by every byte."""

from __future__ import annotations

import os

from objectstore.errors import ConfigurationError


def refuse_lax_names(store: str, hidden: int) -> None:
    """Refuse a file system that takes two names for the same one: two keys would share a file."""
    for name, twin in (("case", "CASE"), ("form-\u00e9", "form-e\u0301")):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=hidden))
        try:
            os.stat(twin, dir_fd=hidden)
        except FileNotFoundError:
            continue
        finally:
            os.unlink(name, dir_fd=hidden)
        raise ConfigurationError(
            f"{store} needs a file system that tells names by every byte; this one takes {name!r} and {twin!r} "
            "for the same. Use an EngineStore, or a volume that minds case and spelling"
        )
