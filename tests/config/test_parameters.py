from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from objectstore.config.parameters import BOOLEAN, OBJECTS, PATH, SIZE, TEXT, Kind, choice, whole

CHOICE = choice("full", "relaxed")
AT_LEAST_ONE = whole(1)


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (TEXT, "", ""),
        (TEXT, "a", "a"),
        (PATH, "/data", Path("/data")),
        (PATH, "~/data", Path.home() / "data"),
        (BOOLEAN, True, True),
        (BOOLEAN, False, False),
        (BOOLEAN, "True", True),
        (BOOLEAN, "false", False),
        (SIZE, 0, 0),
        (SIZE, 65536, 65536),
        (SIZE, "64KiB", 65536),
        (AT_LEAST_ONE, 1, 1),
        (AT_LEAST_ONE, "12", 12),
        (CHOICE, "full", "full"),
        (OBJECTS, {}, {}),
        (OBJECTS, {"a": "é", "b": b"\xff"}, {"a": "é".encode(), "b": b"\xff"}),
    ],
)
def test_what_a_value_means(kind: Kind, value: Any, wanted: object) -> None:
    found = kind.parse(value)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TEXT, 1),
        (TEXT, None),
        (TEXT, ["a"]),
        (PATH, ""),
        (PATH, 1),
        (BOOLEAN, "yes"),
        (BOOLEAN, 1),
        (SIZE, -1),
        (SIZE, "-1"),
        (SIZE, True),
        (SIZE, 1.5),
        (SIZE, "64K"),
        (AT_LEAST_ONE, 0),
        (AT_LEAST_ONE, "1.0"),
        (AT_LEAST_ONE, True),
        (AT_LEAST_ONE, None),
        (CHOICE, "none"),
        (CHOICE, ["full"]),
        (OBJECTS, []),
        (OBJECTS, {"a": 1}),
    ],
)
def test_what_a_value_may_not_be(kind: Kind, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        kind.parse(value)
