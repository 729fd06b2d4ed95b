"""What a server has written to its log."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


def logged(folder: Path, request_id: str, logger: str) -> dict[str, Any]:
    """The record of a request, once it is written; everything before it is JSON, too."""
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        for line in (folder / "server.log").read_text().splitlines(keepends=True):
            told: dict[str, Any] = json.loads(line) if line.endswith("\n") else {}
            if told.get("request_id") == request_id and told["logger"] == logger:
                return told
