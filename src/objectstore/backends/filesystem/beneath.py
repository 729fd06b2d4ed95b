"""Opening a file that is reached without a symbolic link: by one call where Linux has it, else step by step.

`openat2` (Linux 5.6) walks the whole path and refuses a link on it; Python has no function for it. A container may
forbid it, which shows when a root is opened.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from typing import Final

from objectstore.backends.filesystem import folders

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # no wait for a pipe's writer
_OPENAT2: Final = 437  # on every architecture that Python is built for
_NO_SYMLINKS, _BENEATH = 0x04, 0x08
_PATH_MAX: Final = 4096  # bytes, with the zero at the end


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class Opening:
    """Opens files below the open folder `root`."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._call = _system_call()
        try:
            os.close(self._at_once(b"."))
        except OSError:
            self._call = None

    def file(self, path: bytes) -> int:
        """A descriptor, to be closed by the caller, of the file at `path`, which has no empty segment and no `..`.

        Raises OSError: one of ABSENT where there is no such file, or a symbolic link on the way to it.
        """
        if self._call is not None and len(path) < _PATH_MAX:
            # The kernel is not sure when something was moved meanwhile. Every GET comes here: `suppress` is dearer.
            try:
                return self._at_once(path)
            except BlockingIOError:
                pass
        *way, name = os.fsdecode(path).split("/")
        return folders.open_file(self._root, way, name, _FLAGS)

    def _at_once(self, path: bytes) -> int:
        if self._call is None:
            raise BlockingIOError
        while (fd := self._call(_OPENAT2, self._root, path, _HOW, _HOW_SIZE)) < 0:
            number = ctypes.get_errno()
            if number != errno.EINTR:
                raise OSError(number, os.strerror(number))
        return fd


_how: Final = _How(_FLAGS, 0, _NO_SYMLINKS | _BENEATH)
_HOW: Final = ctypes.addressof(_how)
_HOW_SIZE: Final = ctypes.sizeof(_how)


def _system_call() -> Callable[[int, int, bytes, int, int], int] | None:
    if sys.platform != "linux":
        return None
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    return call
