"""`python -m objectstore.auth_tokens add|delete|refresh|list …`: the same commands as `objectstore token …`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that the arguments of the process name. Ends the process."""
    try:
        import typer

        from objectstore.cli import exits, token
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("objectstore"):
            raise
        sys.exit(f"objectstore: token commands need {error.name}: pip install 'objectstore[cli]'")
    app = typer.Typer()
    app.add_typer(token.app, name="token")
    sys.exit(exits.run(app, ["token", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
