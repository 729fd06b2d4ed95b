"""`uvicorn objectstore.app:app`: the application, configured by the environment alone."""

from __future__ import annotations

import sys

from objectstore.config.settings import load_settings
from objectstore.errors import ConfigurationError
from objectstore.server.allocator import share_one_arena
from objectstore.server.assembly import assemble
from objectstore.server.observation.logs import configure

share_one_arena()
try:
    settings = load_settings()
    configure(settings)
    app = assemble(settings)
except ConfigurationError as error:
    print(f"objectstore: {error}", file=sys.stderr)  # noqa: T201  the one line that says what to change
    raise SystemExit(2) from None
