"""`python -m objectstore.cli.tortured serve …`: the command line with an engine that `objectstore torture` kills.

The processes that a server starts import this module again, which is how they are armed, too.
"""

from __future__ import annotations

import os

from objectstore.cli.main import main
from objectstore.testing.torture.arming import arm

arm(os.environ)

if __name__ == "__main__":
    main()
