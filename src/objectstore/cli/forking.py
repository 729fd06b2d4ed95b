"""Processes that begin as a copy of this one: they have at once what they would import for half a second.

A copy has the thread that made it and no other, but the locks as they were, so one that another thread held is never
released in it. Therefore this process is only copied while it has one thread; what starts more (the check of a store,
whose library may have threads that Python knows nothing of) is done in a copy that ends with it.
"""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final, Literal, TypeAlias, TypeVar

T = TypeVar("T")

Method: TypeAlias = Literal["fork", "spawn"]

BEING_COPIED: Final = threading.Lock()  # held by a thread that is not to be in the middle of something at that moment


def start_method() -> Method:
    """How processes may be started from here: as copies, or anew with nothing imported."""
    # Elsewhere libraries of the system do not bear to be copied.
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"


@contextmanager
def starting_processes(method: Method) -> Iterator[None]:
    """Processes started inside never hear Ctrl-C, which a terminal sends to all of a group.

    Python would meet it with a traceback. They are ended by a SIGTERM of this process, which goes on hearing it: a
    signal that is blocked here is kept until the end of the block, one that is ignored would be lost. A copy hears
    SIGTERM only after `hear_the_end`: it would go to the handler that it has from this process.
    """
    if method == "spawn":
        resource_tracker.ensure_running()  # which, when it starts with the first process, ends the blocking
    with BEING_COPIED:
        deaf_to = {signal.SIGINT} if method == "spawn" else {signal.SIGINT, signal.SIGTERM}
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, deaf_to)
        # A collection in the copy would write to all objects, and so copy all the memory.
        gc.freeze()
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def hear_the_end() -> None:
    """Called first of all in a copy: SIGTERM ends it at once, until there is another handler."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def lives(process: BaseProcess) -> bool:
    """Whether a process that was started here still runs, also when another thread waits for its end.

    `is_alive` says so, too, of one whose end was told to that thread, until that has got round to noting it.
    """
    return not wait([process.sentinel], 0)


def apart(call: Callable[[], T]) -> T:
    """What `call` gives or raises when it is made in a copy of this process, of which nothing stays here.

    Where this process cannot be copied, it is made here.

    Raises:
        ChildProcessError: the copy ended before that.
    """
    if start_method() != "fork":
        return call()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(call, sender))
    with starting_processes("fork"):
        process.start()
    sender.close()
    try:
        given, found = receiver.recv()
    except EOFError:
        process.join()
        raise ChildProcessError(f"what was tried in another process ended it: exit code {process.exitcode}") from None
    finally:
        # It has told all, or is no longer waited for.
        process.terminate()
        process.join()
        receiver.close()
    if not given:
        raise found
    result: T = found
    return result


def _tell(call: Callable[[], Any], sender: Connection) -> None:
    hear_the_end()
    try:
        told = True, call()
    except Exception as error:  # noqa: BLE001  raised again by who waits for it
        told = False, _portable(error)
    sender.send(told)


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  just made here
    except Exception:  # noqa: BLE001  errors of libraries need not be made for it, and fail as they like
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
