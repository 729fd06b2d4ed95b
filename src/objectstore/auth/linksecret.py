"""The secret that this server, all its workers and machines sign links with: a file that all of them read."""

from __future__ import annotations

import logging
import math
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from objectstore.auth.files import locked, replace_contents
from objectstore.errors import ConfigurationError, Unsupported

FILE_NAME: Final = "links.key"
RECHECK: Final = 0.5  # seconds between looks at the file: another secret counts within a second
_SIZE: Final = 32  # bytes
_MAX_SIZE: Final = 4096  # bytes of the file
_log: Final = logging.getLogger("objectstore.auth")


class LinkSecret:
    """The secret in the file at `path`, as it was at most half a second ago.

    The file is made when the first link is, with mode 0600. Putting another in its place, or removing it, ends all
    links that were ever made. One that cannot be used ends them as well until it can, which the log tells.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._due = -math.inf  # on `clock`: when to look at the file again
        self._secret: bytes | None = None
        self._told = ""  # the complaint in the log that still holds

    def load(self) -> None:
        """Read the file if there is one. Raises ConfigurationError: it cannot be used."""
        self._due = self._clock() + RECHECK
        self._secret = self._read()

    def known(self) -> bytes | None:
        """The secret; None when there is none, so that no link can be valid."""
        # While there is none it is looked for each time: another process may have made it for a link just now.
        if self._secret is None or self._clock() >= self._due:
            try:
                self.load()
            except ConfigurationError as error:
                self._secret = None
                if error.message != self._told:
                    _log.error("%s; until then no link is valid", error)
                self._told = error.message
            else:
                self._told = ""
        return self._secret

    def needed(self) -> bytes:
        """The secret, made if there is none. Blocks.

        Raises:
            Unsupported: it cannot be read or made; the log says what to change.
        """
        try:
            self.load()
            if self._secret is None:
                self._make()
                self.load()
        except ConfigurationError as error:
            _log.error("%s", error)
            raise _unmade() from error
        if self._secret is None:
            raise _unmade()
        return self._secret

    def _make(self) -> None:
        target = Path(os.path.realpath(self._path))
        try:
            with locked(target):
                # Whoever came first has made it.
                if not target.exists():
                    replace_contents(target, secrets.token_hex(_SIZE).encode() + b"\n")
                    _log.info("made %s, the secret that links are signed with", target)
        except OSError as error:
            raise ConfigurationError(
                f"the secret for signed links cannot be written to {target}: {error.strerror}; set LINK_SECRET_FILE to "
                "a file in a folder that this process may write to, or to one that holds a secret already, such as "
                "'openssl rand -hex 32' prints"
            ) from error

    def _read(self) -> bytes | None:
        try:
            with self._path.open("rb") as file:
                secret = file.read(_MAX_SIZE).strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(
                f"the secret for signed links, LINK_SECRET_FILE={str(self._path)!r}, cannot be read: {error.strerror}"
            ) from error
        if len(secret) < _SIZE:
            raise ConfigurationError(
                f"LINK_SECRET_FILE={str(self._path)!r} holds less than {_SIZE} bytes: fill it with what "
                "'openssl rand -hex 32' prints, or remove it and it is made anew"
            )
        return secret


def _unmade() -> Unsupported:
    return Unsupported("this server cannot make links until its log's advice on LINK_SECRET_FILE is followed")
