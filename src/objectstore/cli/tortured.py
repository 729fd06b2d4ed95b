"""`python -m objectstore.cli.tortured serve …`: the command line with an engine that `objectstore torture` kills.

The processes that a server starts import this module again, or are forks of it, which is how they are armed, too.
"""

from __future__ import annotations

import os
import sys

from objectstore.cli.main import main
from objectstore.testing.torture import zygote
from objectstore.testing.torture.arming import arm

if __name__ == "__main__":
    zygote.forks(sys.argv[1:])
    arm(os.environ)
    main()
else:
    arm(os.environ)
