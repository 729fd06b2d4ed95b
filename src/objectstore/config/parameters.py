"""Parameters of stores: what they are called, and what values they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from objectstore.config.units import parse_size


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be. `parse` takes what stands in YAML, or a variable's text. Raises ValueError, TypeError."""

    expected: str
    parse: Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a type. One that is left out is not given to the builder: defaults are the backend's own."""

    name: str
    kind: Kind
    about: str  # one line, with the default
    required: bool = False
    secret: bool = False  # its value is not shown
    aliases: tuple[str, ...] = ()  # other spellings in existing files


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _path(value: Any) -> Path:
    # An empty path, as from an empty variable, would be the current folder.
    if not _text(value):
        raise ValueError(value)
    return Path(value).expanduser()


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if _text(value).lower() not in {"true", "false"}:
        raise ValueError(value)
    return bool(value.lower() == "true")


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(value)
    return int(value)


def _size(value: Any) -> int:
    size = parse_size(value) if isinstance(value, str) else _integer(value)
    if size < 0:
        raise ValueError(value)
    return size


def _objects(value: Any) -> dict[str, bytes]:
    if not isinstance(value, Mapping):
        raise TypeError(value)
    return {key: one if isinstance(one, bytes) else _text(one).encode() for key, one in value.items()}


TEXT: Final = Kind("a text (numbers and the like in quotes)", _text)
PATH: Final = Kind("a path", _path)
BOOLEAN: Final = Kind("true or false", _boolean)
SIZE: Final = Kind("a number of bytes such as 65536, 64KiB or 1MB", _size)
OBJECTS: Final = Kind("a mapping of keys to texts or !!binary", _objects)


def choice(*accepted: str) -> Kind:
    def parse(value: Any) -> str:
        if value not in accepted:
            raise ValueError(value)
        return str(value)

    return Kind(" or ".join(accepted), parse)


def whole(minimum: int) -> Kind:
    def parse(value: Any) -> int:
        number = _integer(value)
        if number < minimum:
            raise ValueError(value)
        return number

    return Kind(f"a whole number, at least {minimum}", parse)
