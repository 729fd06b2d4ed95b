"""Profiles: servers and tokens that `objectstore login` keeps, in a file that nobody but the user can read."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from objectstore.errors import ConfigurationError

USUAL: Final = "default"  # the name of the profile of who names none
_VERSION: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A server, and the token for it."""

    url: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """All profiles by name, and which is meant by who names none."""

    default: str | None = None
    by_name: Mapping[str, Profile] = field(default_factory=lambda: MappingProxyType({}))

    def get(self, name: str) -> Profile:
        """Raises ConfigurationError: there is none of that name."""
        found = self.by_name.get(name)
        if found is None:
            known = ", ".join(sorted(self.by_name)) or "none"
            raise ConfigurationError(
                f"there is no profile {name!r} (known: {known}): make it with objectstore login --profile {name}"
            )
        return found

    def token_for(self, url: str, name: str | None) -> str | None:
        """The token of a profile for just this server: of the one named, of the default one, of the first by name."""
        for one in (name, self.default, *sorted(self.by_name)):
            found = None if one is None else self.by_name.get(one)
            if found is not None and found.token is not None and same_place(found.url, url):
                return found.token
        return None

    def with_profile(self, name: str, profile: Profile, *, default: bool = False) -> Profiles:
        """One more, or another one under the name. The first becomes the default."""
        check_name(name)
        chosen = name if default or self.default is None else self.default
        return Profiles(default=chosen, by_name={**self.by_name, name: profile})

    def with_default(self, name: str) -> Profiles:
        """Raises ConfigurationError: there is none of that name."""
        self.get(name)
        return replace(self, default=name)

    def without(self, name: str) -> Profiles:
        """One less. Without a default when it was that. Raises ConfigurationError: there is none of that name."""
        self.get(name)
        left = {one: profile for one, profile in self.by_name.items() if one != name}
        return Profiles(default=None if self.default == name else self.default, by_name=left)


def same_place(one: str, other: str) -> bool:
    """Whether two base URLs are of one server."""
    return one.rstrip("/") == other.rstrip("/")


def check_name(name: str) -> str:
    """The name. Raises ConfigurationError: no profile can have it."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name of a profile: those have letters, digits, '-', '_' and '.'")
    return name


def parse(text: str | bytes) -> Profiles:
    """What a file says. Raises ValueError, without any of the text in it: there are secrets in the file."""
    try:
        told = json.loads(text)
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(told, dict) or told.get("version") != _VERSION or not isinstance(told.get("profiles"), dict):
        raise ValueError("it is not of this version of objectstore")
    default = told.get("default")
    by_name = {name: _profile(name, one) for name, one in told["profiles"].items()}
    return Profiles(default=default if default in by_name else None, by_name=by_name)


def text_of(profiles: Profiles) -> str:
    """The reverse of `parse`."""
    by_name = {name: {"url": one.url, "token": one.token} for name, one in profiles.by_name.items()}
    return json.dumps({"version": _VERSION, "default": profiles.default, "profiles": by_name}, indent=2) + "\n"


def profiles_file() -> Path:
    """Where they are kept: `objectstore/profiles.json` in the user's folder of settings (XDG)."""
    told = os.environ.get("XDG_CONFIG_HOME", "")
    # The specification has relative ones ignored.
    base = Path(told) if Path(told).is_absolute() else Path.home() / ".config"
    return base / "objectstore" / "profiles.json"


def load_profiles() -> Profiles:
    """Those that are kept; none without a file. Raises ConfigurationError: it cannot be read, or understood."""
    try:
        file = profiles_file()
    except RuntimeError:  # nobody knows where the user's home is
        return Profiles()
    try:
        return parse(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return Profiles()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"the profiles in {file} cannot be read: {reason}") from error


def change_profiles(change: Callable[[Profiles], Profiles]) -> Profiles:
    """Keep what `change` makes of them: all of it or, on any error, nothing. Waits for other processes that do so.

    Raises:
        ConfigurationError: those that there are cannot be read, or these not be written.
    """
    file = profiles_file()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _held(file.with_suffix(".lock")):
            changed = change(load_profiles())
            _replace(file, text_of(changed).encode())
    except OSError as error:
        raise ConfigurationError(f"the profiles in {file} cannot be kept: {error.strerror}") from error
    return changed


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _replace(file: Path, data: bytes) -> None:
    # A symbolic link stays one, as people have them into a repository of their settings.
    target = Path(os.path.realpath(file))
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _profile(name: str, told: Any) -> Profile:
    url, token = (told.get("url"), told.get("token")) if isinstance(told, dict) else (None, None)
    if not isinstance(url, str) or not isinstance(token, str | None):
        raise ValueError(f"the profile {name!r} has no URL, or a token that is none")  # noqa: TRY004  of the file
    return Profile(url=url, token=token)
