"""The token file: as the command line edits it, and as the server reads it."""

from __future__ import annotations

import logging
import math
import os
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from objectstore.auth import document as documents
from objectstore.auth.document import TokenDocument
from objectstore.auth.files import locked, replace_contents
from objectstore.auth.scopes import EVERY_KEY, Credential, Scope
from objectstore.auth.tokens import (
    ENTROPY,
    UNBOUNDED,
    Allowance,
    TokenRecord,
    credential_of,
    digest_of,
    expiry,
    new_token,
)
from objectstore.core.rates import Rate
from objectstore.errors import ConfigurationError, Unauthenticated

RECHECK: Final = 0.5  # seconds between looks at the file: a change counts within a second
_log: Final = logging.getLogger("objectstore.auth")


class TokenFile:
    """Edits a token file. Each edit is atomic and durable, and waits for those of other processes.

    Every method raises ConfigurationError when the file cannot be read or written, and then leaves it as it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> TokenDocument:
        """What the file holds; nothing when there is none."""
        try:
            return _parse(self.path, self.path.read_bytes())
        except FileNotFoundError:
            return TokenDocument()
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def add(
        self,
        name: str,
        *,
        scopes: Iterable[Scope],
        now: datetime,
        ttl: timedelta | None,
        prefixes: Iterable[str] = EVERY_KEY,
        rate: Rate | None = None,
        quota: Allowance = UNBOUNDED,
    ) -> str:
        """Add a token and give it out: this is the only time that it is known. `ttl` None: valid for ever.

        `rate` None: that of the server.

        Raises:
            ConfigurationError: also when the name is taken.
        """
        token = new_token(secrets.token_bytes(ENTROPY))
        record = TokenRecord(
            name=name,
            digest=digest_of(token.encode()),
            created=now.astimezone(UTC).replace(microsecond=0),
            expires=None if ttl is None else expiry(now, ttl),
            scopes=frozenset(scopes),
            prefixes=tuple(prefixes),
            rate=rate,
            quota=quota,
        )
        self._edit(lambda old: documents.added(old, record))
        return token

    def refresh(
        self, name: str, *, now: datetime, ttl: timedelta, scopes: Iterable[Scope] | None = None
    ) -> TokenRecord:
        """Let a token, expired or not, end `ttl` from now, with other scopes if given; the token stays the same.

        Raises:
            ConfigurationError: also when there is no such token.
        """

        def refreshed(old: TokenRecord) -> TokenRecord:
            record = replace(old, expires=expiry(now, ttl))
            return record if scopes is None else replace(record, scopes=frozenset(scopes))

        return self.change(name, refreshed)

    def change(self, name: str, change: Callable[[TokenRecord], TokenRecord]) -> TokenRecord:
        """Replace the record of a token, but for its name, by what `change` makes of it; gives that back.

        Raises:
            ConfigurationError: also when there is no such token.
        """

        def changed(old: TokenDocument) -> TokenDocument:
            return documents.replaced(old, change(documents.find(old, name)))

        return documents.find(self._edit(changed), name)

    def rotate(self, name: str, *, now: datetime, ttl: timedelta | None = None) -> str:
        """Give out another token in the place of one, which ends at once; `ttl` from now is its end, if given.

        Raises:
            ConfigurationError: also when there is no such token.
        """
        token = new_token(secrets.token_bytes(ENTROPY))

        def rotated(old: TokenRecord) -> TokenRecord:
            expires = old.expires if ttl is None else expiry(now, ttl)
            created = now.astimezone(UTC).replace(microsecond=0)
            return replace(old, digest=digest_of(token.encode()), created=created, expires=expires)

        self.change(name, rotated)
        return token

    def delete(self, name: str) -> None:
        """Remove a token. Raises ConfigurationError, also when there is no such token."""
        self._edit(lambda old: documents.removed(old, name))

    def _edit(self, change: Callable[[TokenDocument], TokenDocument]) -> TokenDocument:
        # A symbolic link stays one: what it points to is replaced.
        target = Path(os.path.realpath(self.path))
        try:
            with locked(target):
                changed = change(self.read())
                replace_contents(target, documents.format_document(changed))
        except OSError as error:
            reason = "there is no such folder" if isinstance(error, FileNotFoundError) else error.strerror
            raise ConfigurationError(f"the token file {target} cannot be written: {reason}") from error
        return changed


@dataclass(frozen=True, slots=True)
class _Seen:
    """What tells one state of a file from another without reading it."""

    inode: int
    size: int  # bytes
    modified: int  # ns
    changed: int  # ns


class TokenStore:
    """Knows the bearer of a token, by the file as it was at most half a second ago.

    A file that is broken or gone leaves the tokens in force that were last read, and an error in the log.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._due = -math.inf  # on `clock`: when to look at the file again
        self._seen: _Seen | None = None  # the state last read
        self._told = ""  # the complaint in the log that still holds
        self._known: dict[bytes, Credential] = {}  # by SHA-256 of the token
        self._makers: dict[str, tuple[bytes, Credential]] = {}  # with that hash, by what links name them

    def load(self) -> None:
        """Read the file now, with a warning when there is none: a server does this before it takes requests.

        Raises:
            ConfigurationError: the file is there and cannot be used.
        """
        self._due = self._clock() + RECHECK
        try:
            self._read_if_changed()
        except FileNotFoundError:
            self._tell_of_absence()

    @property
    def complaint(self) -> str:
        """What was wrong with the file when it was last looked at; nothing when all is well."""
        if self._clock() >= self._due:
            self._recheck()
        return self._told

    def authenticate(self, authorization: bytes | None, now: datetime) -> Credential:
        """Who sent this value of the Authorization header, if `now` its token is valid.

        Raises:
            Unauthenticated: there is none, or it names no token that is valid: which of these is not told.
        """
        if self._clock() >= self._due:
            self._recheck()
        if authorization is None or authorization[:7].lower() != b"bearer ":
            raise Unauthenticated
        # How long a dictionary takes tells at most something of the digest of what was presented. Whoever could
        # steer that digest bit by bit could invert SHA-256, so there is nothing to compare in constant time.
        known = self._known.get(sha256(authorization[7:].strip()).digest())
        if known is None or (known.expires is not None and now >= known.expires):
            raise Unauthenticated
        return known

    def why_not(self, authorization: bytes) -> str:
        """Why `authenticate` refuses this field, without any of it: for the log alone, the sender is not told."""
        if authorization[:7].lower() != b"bearer ":
            return "its Authorization is none of a bearer"
        known = self._known.get(sha256(authorization[7:].strip()).digest())
        return "its token is not known" if known is None else f"the token {known.name!r} has expired"

    def bounded(self) -> Sequence[str]:
        """The names of the tokens that have quotas."""
        return [credential.name for credential in self._known.values() if credential.quotas]

    def maker(self, mark: str) -> tuple[bytes, Credential] | None:
        """The hash and the rights of the token that signed links name so, expired or not; None: there is none."""
        if self._clock() >= self._due:
            self._recheck()
        return self._makers.get(mark)

    def _recheck(self) -> None:
        self._due = self._clock() + RECHECK
        try:
            self._read_if_changed()
        except FileNotFoundError:
            self._tell_of_absence()
        except ConfigurationError as error:
            self._tell(logging.ERROR, f"{error}; the {len(self._known)} tokens last read stay in force")
        else:
            self._told = ""

    def _read_if_changed(self) -> None:
        try:
            if _look(self._path.stat()) == self._seen:
                return
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                contents = file.read()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unreadable(self._path, error) from error
        document = _parse(self._path, contents)
        self._known = {record.digest: credential_of(record) for record in document.records}
        self._makers = {known.mark: (digest, known) for digest, known in self._known.items()}
        self._seen = _look(status)
        _log.info("read the token file %s: %d tokens", self._path, len(self._known))
        if status.st_nlink == 0:
            _log.error(
                "the token file %s was replaced where this process cannot see it, as happens to a single file that "
                "is mounted into a container; mount its folder instead, then restart",
                self._path,
            )

    def _tell_of_absence(self) -> None:
        if self._known:
            message = f"the token file {self._path} is gone; the {len(self._known)} tokens last read stay in force"
            self._tell(logging.ERROR, message)
        else:
            self._tell(
                logging.WARNING,
                f"there is no token file {self._path}, so every request that needs a token is refused; create it with: "
                f"python -m objectstore.auth_tokens add NAME --ttl DAYS --scope read --scope write --file {self._path}",
            )

    def _tell(self, level: int, message: str) -> None:
        # Once for each state that the file is found in, not with each look.
        if message != self._told:
            self._told = message
            _log.log(level, message)


def _look(status: os.stat_result) -> _Seen:
    return _Seen(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _parse(path: Path, contents: bytes) -> TokenDocument:
    try:
        return documents.parse_document(contents)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"the token file {path} cannot be used: {error}; correct it, or move it away and add the tokens anew"
        ) from None


def _unreadable(path: Path, error: OSError) -> ConfigurationError:
    hint = (
        "; Docker makes one when the file to be mounted does not exist" if isinstance(error, IsADirectoryError) else ""
    )
    return ConfigurationError(f"the token file {path} cannot be read: {error.strerror}{hint}")
