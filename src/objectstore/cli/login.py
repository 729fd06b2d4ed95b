"""`objectstore login`, `logout` and `profiles`: which servers there are, and who you are to them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.connection import DEFAULT_URL, Token, connect_to
from objectstore.cli.exits import Usage, reported
from objectstore.cli.output import Json, Output, Quiet
from objectstore.errors import Forbidden, Unsupported

if TYPE_CHECKING:
    from objectstore.client.place import Place
    from objectstore.client.profiles import Profiles

LOGIN_EXAMPLES: Final = (
    "objectstore login",
    "objectstore login --profile lab --url https://objects.example.org",
    "objectstore login --profile lab --url https://objects.example.org < token.txt",
)
LOGOUT_EXAMPLES: Final = ("objectstore logout", "objectstore logout --profile lab")
PROFILES_EXAMPLES: Final = ("objectstore profiles", "objectstore profiles --default lab")
_TRIES: Final = 1  # after the first: a person is waiting

_Name = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", show_default=False, help="Which one. [env OBJECTSTORE_PROFILE; default]"),
]


def login(
    profile: _Name = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", show_default=False, help="Where the server is; asked for.")
    ] = None,
    token: Token = None,
    default: Annotated[bool, typer.Option("--default", help="Use it where no profile is named.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Keep the URL of a server and a token for it, as a profile that every command and client can use.

    What is not given is asked for; without a terminal the token is the first line of stdin. The server is asked
    whether it takes the token. The first profile is used where none is named.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        from objectstore.client.place import Place
        from objectstore.client.profiles import USUAL, Profile, change_profiles, check_name, load_profiles

        name = check_name(profile or os.environ.get("OBJECTSTORE_PROFILE") or USUAL)
        known = load_profiles().by_name.get(name)
        place = url or _asked_url(known.url if known else os.environ.get("OBJECTSTORE_URL") or DEFAULT_URL)
        secret = token or _asked_token(place)
        _verify(Place(place, secret))
        profiles = change_profiles(
            lambda old: old.with_profile(name, Profile(url=place, token=secret), default=default)
        )
        if json:
            out.document(_described(name, profiles))
        else:
            also = ", which is used where no profile is named" if profiles.default == name else ""
            out.say(f"logged in to {place} as the profile {name}{also}")


def logout(
    profile: _Name = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Forget a profile, and the token in it. The server is not told: objectstore token delete ends a token."""
    out = Output(json=json, quiet=quiet)
    with reported(out):
        from objectstore.client.profiles import USUAL, change_profiles, load_profiles

        name = profile or os.environ.get("OBJECTSTORE_PROFILE") or load_profiles().default or USUAL
        change_profiles(lambda old: old.without(name))
        if json:
            out.document({"profile": name, "forgotten": True})
        else:
            out.say(f"forgot the profile {name}")


def profiles(
    default: Annotated[
        str | None,
        typer.Option("--default", metavar="NAME", show_default=False, help="Use this one where none is named."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the profiles that were kept by objectstore login; a star marks the one used where none is named."""
    out = Output(json=json, quiet=quiet)
    with reported(out):
        from objectstore.client.profiles import change_profiles, load_profiles

        known = load_profiles() if default is None else change_profiles(lambda old: old.with_default(default))
        width = max(map(len, known.by_name), default=0)
        for name in sorted(known.by_name):
            if json:
                out.document(_described(name, known))
            else:
                out.line(f"{'*' if name == known.default else ' '} {name:<{width}}  {known.by_name[name].url}")
        if not known.by_name:
            out.say("there is no profile: objectstore login makes one")


def _described(name: str, known: Profiles) -> dict[str, object]:
    return {"profile": name, "url": known.by_name[name].url, "default": name == known.default}


def _asked_url(usual: str) -> str:
    if not sys.stdin.isatty():
        return usual
    return str(typer.prompt("URL of the server", default=usual, err=True)).strip()


def _asked_token(url: str) -> str:
    if not sys.stdin.isatty():
        given = sys.stdin.readline().strip()
    else:
        given = str(typer.prompt(f"Token for {url} (it is not shown)", hide_input=True, err=True)).strip()
    if not given:
        raise Usage("a token is wanted: on stdin, when asked, or as --token")
    return given


def _verify(place: Place) -> None:
    """Raises what the server, or the way to it, has against the token."""
    # Refused as Forbidden, it is known; what it may do, or the store can, is another matter.
    with connect_to(place, max_retries=_TRIES) as store, suppress(Forbidden, Unsupported):
        store.list(limit=1)
