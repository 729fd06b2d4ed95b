"""The table of targets. Each takes any bytes, and raises when something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from fuzz import administration, answers, requests

CORPUS: Final = Path(__file__).with_name("corpus")

TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "keys": requests.keys,
    "ranges": requests.ranges,
    "conditions": requests.conditions,
    "fields": requests.fields,
    "digests": requests.digests,
    "json_bodies": requests.json_bodies,
    "cursors": requests.cursors,
    "queries": requests.queries,
    "origins": requests.origins,
    "links": administration.links,
    "filenames": administration.filenames,
    "token_files": administration.token_files,
    "rates": administration.rates,
    "storage_files": administration.storage_files,
    "traces": administration.traces,
    "http1": answers.http1,
    "errors": answers.errors,
    "client_replies": answers.client_replies,
    "s3_listings": answers.s3_listings,
    "records": answers.records,
    "archives": answers.archives,
}


def corpus(name: str) -> list[Path]:
    """What the target begins with: examples, and every input that once failed."""
    return sorted((CORPUS / name).iterdir())
