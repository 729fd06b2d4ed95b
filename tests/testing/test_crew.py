"""The client processes of long runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from objectstore.errors import Unavailable
from objectstore.testing.crew import Crew


def test_one_that_ends_by_itself_is_told_with_where_it_said_why(tmp_path: Path) -> None:
    log = tmp_path / "clients.log"
    # Without arguments it ends at once.
    with Crew("objectstore.testing.torture.client", [[], []], {}, log) as crew:
        with pytest.raises(Unavailable, match=r"ended by itself with 1: see .*clients\.log"):
            crew.ask("pause")
        crew.tell("go 1")
    assert "IndexError" in log.read_text()
