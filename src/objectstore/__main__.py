"""`python -m objectstore`: the command line without the console script."""

from __future__ import annotations

from objectstore.cli.main import main

if __name__ == "__main__":
    main()
