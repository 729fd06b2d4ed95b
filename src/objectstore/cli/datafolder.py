"""The data folder that a command works on itself, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from objectstore.cli.serve import DEFAULT_DATA

Data = Annotated[
    Path,
    typer.Option("--data", envvar="DATA_DIR", metavar="DIR", help="The data folder of the server."),
]
DEFAULT: Path = Path(DEFAULT_DATA)
