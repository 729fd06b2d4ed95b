"""What an operator chose to be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objectstore.server.observation.accesslog import AccessLog
from objectstore.server.observation.tracing import Tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """How a server is watched."""

    metrics_public: bool = False  # whether /metrics answers without a token
    access_log: AccessLog | None = None
    tracing: Tracing | None = None
    tally_folder: Path | None = None  # which all workers share; without one each tells of itself alone


DEFAULT_MONITORING: Final = Monitoring()
