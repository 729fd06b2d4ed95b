"""A child after a fork has connections of its own: those that it inherits are the parent's."""

from __future__ import annotations

import os
from typing import Final, Protocol
from weakref import WeakSet


class Forkable(Protocol):
    def leave_to_parent(self) -> None:
        """Begin anew: a lock may be held by a thread that does not exist here, and sockets are shared."""
        ...


_LIVING: Final[WeakSet[Forkable]] = WeakSet()


def renew_in_children(transport: Forkable) -> None:
    """Have its `leave_to_parent` called in every child, as long as it lives."""
    _LIVING.add(transport)


def _after_fork() -> None:
    for transport in list(_LIVING):
        transport.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
