"""Where something is that is copied from one place to another, as it is typed. Rules without a disk or a server.

os:KEY                       on the usual server: that of the options, the environment or the default profile
os@PROFILE:KEY               on the server of a profile
objectstore://host:port/KEY  on the server that the URL names; objectstores:// is one with TLS
-                            stdin, or stdout
anything else                a path on this machine; ./os:x is a file whose name begins so

Where nothing but a key can stand, anything else is a key on the usual server; os:os:x is one that begins so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from objectstore.cli.exits import Usage
from objectstore.client.place import SCHEMES, split_url

_OURS: Final = re.compile(r"os(?:@([^:/]*))?:(.*)", re.DOTALL)
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stream:
    """stdin or stdout."""

    @property
    def is_folder(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Server:
    """One that was named; the usual one when nothing was."""

    url: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """A key, or what keys start with."""

    server: Server
    key: str
    text: str  # what was typed before the key

    @property
    def is_folder(self) -> bool:
        """Whether what is put there goes into it, by what was typed."""
        return self.key == "" or self.key.endswith("/")

    @property
    def last(self) -> str:
        """The name that it has by itself."""
        return self.key.rpartition("/")[2]

    def __str__(self) -> str:
        return self.text + self.key

    def within(self) -> Remote:
        """As a folder."""
        return self if self.is_folder else Remote(self.server, f"{self.key}/", self.text)

    def below(self, name: str) -> Remote:
        return Remote(self.server, self.within().key + name, self.text)


@dataclass(frozen=True, slots=True)
class Local:
    """A path on this machine."""

    path: str

    @property
    def is_folder(self) -> bool:
        """As `Remote.is_folder`; the disk may know better."""
        return self.path.endswith("/") or self.last in {".", ".."}

    @property
    def last(self) -> str:
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return self.path

    def within(self) -> Local:
        return self if self.path.endswith("/") else Local(f"{self.path}/")

    def below(self, name: str) -> Local:
        return Local(self.within().path + name)


Location: TypeAlias = Stream | Remote | Local


def parse(text: str) -> Location:
    """What was typed. Raises Usage."""
    if text == "-":
        return Stream()
    if found := _OURS.fullmatch(text):
        profile, key = found.groups()
        if profile == "":
            raise Usage(f"{text!r} names no profile: os@PROFILE:KEY does, os:KEY is on the usual server")
        return Remote(Server(profile=profile), key, text[: len(text) - len(key)])
    if found := _URL.match(text):
        if found[1] not in SCHEMES:
            raise Usage(
                f"{found[1]}:// is no place that is known here: os:KEY and objectstore://host/KEY are, and paths; "
                "objectstore copy-store reads other kinds of stores"
            )
        url, key = split_url(text)
        return Remote(Server(url=url), key, text[: len(text) - len(key)])
    if not text:
        raise Usage("an empty path is nowhere; . is this folder, os: the whole store")
    return Local(text)


def key_at(text: str) -> Remote:
    """What was typed where nothing but a key can stand: a key of the usual server, or one with its place before it.

    Raises:
        Usage: the place is none.
    """
    url = _URL.match(text)
    with_place = _OURS.fullmatch(text) is not None or (url is not None and url[1] in SCHEMES)
    found = parse(text) if with_place else None
    return found if isinstance(found, Remote) else Remote(Server(), text, "")


def destination(source: Remote | Local, target: Remote | Local, *, into: bool, tree: bool) -> Remote | Local:
    """Where a source goes, as `cp` and `rsync` have it.

    A file goes into a target that is a folder (`into`) under its own name, and else to the target itself. A tree goes
    into a folder as a folder of its own name, unless a slash at its end says that its content is meant; else the
    target is what it is called there.

    Raises:
        Usage: it has no name of its own.
    """
    if tree:
        own = into and not source.is_folder
        return (target.below(source.last) if own else target).within()
    if not into:
        return target
    if source.last in {"", ".", ".."}:
        raise Usage(f"{source} has no name to keep in {target}: say which it is to have")
    return target.below(source.last)
