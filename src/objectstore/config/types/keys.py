"""Wrappers that look at calls and keys, and leave bodies as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from objectstore.backends.contract import Backend
from objectstore.config.parameters import TEXT, Kind, Parameter
from objectstore.config.storetype import OneBase, RoutedBases, StoreType, Values
from objectstore.errors import ConfigurationError

_MAX_HASH_LENGTH: Final = 64  # characters of a hex SHA-256
_ROUTE_MEMBERS: Final = frozenset({"pattern", "prefix", "store"})


def _pattern(value: Any) -> str:
    text = TEXT.parse(value)
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(value) from error
    return str(text)


def _hash_length(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(value)
    if not 1 <= (length := int(value)) <= _MAX_HASH_LENGTH:
        raise ValueError(value)
    return length


def _routes(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise TypeError(value)
    return [_route(one) for one in value]


def _route(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError(value)
    if "pattern" not in value or len(value) == 1 or not _ROUTE_MEMBERS.issuperset(value):
        raise ValueError(value)
    _pattern(value["pattern"])
    return {name: TEXT.parse(one) for name, one in value.items()}


PATTERN: Final = Kind("a regular expression of Python", _pattern)
HASH_LENGTH: Final = Kind(f"a whole number from 1 to {_MAX_HASH_LENGTH}", _hash_length)
ROUTES: Final = Kind("a list of {pattern: REGEX, prefix: TEXT} or {pattern: REGEX, store: NAME}, or with both", _routes)


def _forwarding(name: str) -> Callable[[Values, Sequence[Backend]], Backend]:
    def build(_: Values, bases: Sequence[Backend]) -> Backend:
        from objectstore.wrappers.forwarding import Forwarding

        return Forwarding(bases[0], name=name)

    return build


def _readonly(_: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.restricted import Readonly

    return Readonly(bases[0])


def _writeonly(_: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.restricted import Writeonly

    return Writeonly(bases[0])


def _prefix(values: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.prefix import Prefixed

    return Prefixed(bases[0], values["prefix"])


def _hash_prefix(values: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.hashprefix import HashPrefixed

    return HashPrefixed(bases[0], **values)


def _url_encoding(_: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.urlencoding import UrlEncoded

    return UrlEncoded(bases[0])


def _url_validating(_: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.validkeys import only_urls

    return only_urls(bases[0])


def _regex_validating(values: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.validkeys import matching

    return matching(bases[0], values["pattern"])


def _regex_routing(values: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.routing import Route, Routing

    routes: Sequence[Mapping[str, str]] = values["routes"]
    named = list(dict.fromkeys(route["store"] for route in routes if "store" in route))
    # The stores of the routes come last; one before them is that of `base:`.
    stores = dict(zip(named, bases[len(bases) - len(named) :], strict=True))
    base = bases[0] if len(bases) > len(named) else None
    built = []
    for route in routes:
        store = stores[route["store"]] if "store" in route else base
        if store is None:
            raise ConfigurationError(f"the route {route['pattern']!r} names no store, so 'base: NAME' is needed")
        built.append(Route(re.compile(route["pattern"]), store, route.get("prefix", "")))
    return Routing(built)


def _notifying(values: Values, bases: Sequence[Backend]) -> Backend:
    if not values:
        # As files of amplify-storage-utils have it, where handlers can be added in code only.
        return _forwarding("NotifyingStore")(values, bases)
    if set(values) != {"url", "secret"}:
        raise ConfigurationError("a webhook needs both 'url' and 'secret'")
    from objectstore.wrappers.notifying import Notifying
    from objectstore.wrappers.webhooks import Outbox, Webhook

    return Notifying(bases[0], Outbox(Webhook(**values)))


def _logging(values: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.logged import Logged

    return Logged(bases[0], **values)


def _exception_logging(values: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.logged import ExceptionLogged

    return ExceptionLogged(bases[0], **values)


def _wrapper(
    name: str, about: str, build: Callable[[Values, Sequence[Backend]], Backend], *parameters: Parameter
) -> StoreType:
    return StoreType(names=(name, f"Async{name}"), about=about, build=build, parameters=parameters, base=OneBase())


_STORE_NAME: Final = Parameter(name="store_name", kind=TEXT, about="What it is called in the log (default: store).")

KEYS: Final = (
    *(
        _wrapper(name, "Passes everything on.", _forwarding(name))
        for name in ("IdentityStore", "BufferStore", "TransformingStore", "KeyTransformingStore")
    ),
    _wrapper("ReadonlyStore", "Refuses what would change the store.", _readonly),
    _wrapper("WriteonlyStore", "Refuses reading, listing and copying.", _writeonly),
    _wrapper(
        "PrefixStore",
        "Part of a store: keys are kept under a prefix.",
        _prefix,
        Parameter(name="prefix", kind=TEXT, required=True, about="Raw characters put before each key."),
    ),
    _wrapper(
        "HashPrefixStore",
        "Puts the beginning of each key's hex SHA-256 before it.",
        _hash_prefix,
        Parameter(name="hash_length", kind=HASH_LENGTH, about="Characters of it (default: 8)."),
        Parameter(name="separator", kind=TEXT, about="What stands between it and the key (default: /)."),
    ),
    _wrapper("UrlEncodingStore", "Keeps keys percent-encoded, / excepted.", _url_encoding),
    _wrapper("UrlValidatingStore", "Takes only http and https URLs for keys.", _url_validating),
    _wrapper(
        "RegexValidatingStore",
        "Takes only keys that match a regular expression from their start.",
        _regex_validating,
        Parameter(name="pattern", kind=PATTERN, required=True, about="Write $ at its end for keys that match whole."),
    ),
    StoreType(
        names=("RegexRoutingStore", "AsyncRegexRoutingStore"),
        about="Keeps keys in one place or another, by the first regular expression that is found in them.",
        build=_regex_routing,
        parameters=(
            Parameter(
                name="routes",
                kind=ROUTES,
                required=True,
                about="Patterns, each with a prefix put before its keys, a store that takes them, or both.",
            ),
        ),
        base=RoutedBases("routes", "store"),
    ),
    _wrapper(
        "NotifyingStore",
        "Tells a webhook of each change; without one it passes everything on.",
        _notifying,
        Parameter(name="url", kind=TEXT, secret=True, about="Where events are posted (default: nowhere)."),
        Parameter(name="secret", kind=TEXT, secret=True, about="Signs them; needed with url."),
    ),
    _wrapper("LoggingStore", "Logs each call.", _logging, _STORE_NAME),
    _wrapper("ExceptionLoggingStore", "Logs each call that fails.", _exception_logging, _STORE_NAME),
)
