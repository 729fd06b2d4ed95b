"""What a service is tried with, by small objects of the store's own, of which nobody else knows the names."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from objectstore.backends.cloud.failures import Refused
from objectstore.backends.cloud.keys import HIDDEN
from objectstore.backends.cloud.medium import OVERWRITE, Create, Medium
from objectstore.errors import NotFound, Unavailable, Unsupported
from objectstore.values import DEFAULT_CONTENT_TYPE

_FIELDS: Final = {"Content-Type": DEFAULT_CONTENT_TYPE}


async def check_kept(medium: Medium, new_id: str) -> None:
    """Write, read and remove one. Raises Unavailable: it is not kept."""
    name = f"{HIDDEN}check-{new_id}"
    try:
        await medium.write(name, b"", _FIELDS, OVERWRITE)
        await medium.find(name)
        await medium.delete(name, None)
    except (NotFound, Refused, Unsupported) as error:
        raise Unavailable(f"{medium.name} does not keep what it is given: {error}") from error


async def prove_conditions(medium: Medium, store: str, new_id: str) -> None:
    """Create one twice. Raises Unsupported: the second was taken, too."""
    # There are servers that write whatever the condition; to take their word would be to lose someone's update.
    name = f"{HIDDEN}conditions-{new_id}"
    with suppress(Refused):  # of a try whose answer was lost, and which was sent again: nobody else knows the name
        await medium.write(name, b"", _FIELDS, Create())
    proven = False
    try:
        await medium.write(name, b"", _FIELDS, Create())
    except Refused:
        proven = True
    await medium.delete(name, None)
    if not proven:
        raise Unsupported(
            f"the service behind {store} ignores conditions of writes: set conditions: false, so that clients are told "
            "beforehand"
        )
