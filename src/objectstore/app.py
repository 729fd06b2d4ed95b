"""`uvicorn objectstore.app:app`: the application, configured by the environment alone."""

from __future__ import annotations

import sys

from objectstore.errors import ConfigurationError
from objectstore.server.assembly import assemble

try:
    app = assemble()
except ConfigurationError as error:
    print(f"objectstore: {error}", file=sys.stderr)  # noqa: T201  the one line that says what to change
    raise SystemExit(2) from None
