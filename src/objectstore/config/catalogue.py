"""The types of stores, described: for `objectstore config types`, and for the tables of docs/stores.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, assert_never

from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.config import plugins
from objectstore.config.parameters import Kind, Parameter
from objectstore.config.storetype import ListOfBases, NamedBases, NoBase, OneBase, RoutedBases, StoreType
from objectstore.config.types import TYPES
from objectstore.errors import ConfigurationError
from objectstore.values import Capabilities
from objectstore.wrappers.forwarding import Forwarding

ABILITIES: Final = tuple(one.name for one in fields(Capabilities) if one.name not in {"name", "notes"})
# One or another is a value for any parameter, in a store that is never opened.
_SAMPLES: Final[Sequence[Any]] = ("http://127.0.0.1", "redis://127.0.0.1", "a", "1", [{"pattern": "a", "prefix": "b"}])


@dataclass(frozen=True, slots=True)
class Described:
    """A type, and what a store of it can do around one that can do everything; None if it cannot be told here."""

    type: StoreType
    capabilities: Capabilities | None


class _Able(Forwarding):
    """A store that can do everything, for wrappers to show what they keep of it."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(name="any", quotas=True)


def catalogue(passed_over: Callable[[ConfigurationError], None]) -> Iterator[Described]:
    """Every type of ours, and then those that packages add; `passed_over` is told why one of those is left out."""
    for one in TYPES:
        yield Described(one, capabilities_of(one))
    for name in plugins.names():
        try:
            loaded = plugins.load(name)
        except ConfigurationError as error:
            passed_over(error)
            continue
        found = loaded if isinstance(loaded, StoreType) else _foreign(name)
        yield Described(found, capabilities_of(found))


def find(name: str) -> Described | None:
    """The type of that name, in whichever spelling. Raises ConfigurationError: a package adds it and is broken."""
    for one in TYPES:
        if name in one.names:
            return Described(one, capabilities_of(one))
    loaded = plugins.load(name)
    if loaded is None:
        return None
    found = loaded if isinstance(loaded, StoreType) else _foreign(name)
    return Described(found, capabilities_of(found))


def capabilities_of(one: StoreType) -> Capabilities | None:
    """What such a store can do, as far as its type alone decides; None if its parameters do, or a dependency lacks."""
    if one.foreign:
        return None
    bases: Sequence[Backend] = () if isinstance(one.base, NoBase) else [_Able(MemoryBackend()) for _ in _parts(one)]
    for values in _values(one.parameters):
        try:
            return one.build(values, bases).capabilities
        except (ConfigurationError, ModuleNotFoundError, ValueError):
            continue
    return None


def base_of(one: StoreType) -> str:
    """How `base:` is written for the type; empty when it takes none."""
    match one.base:
        case NoBase():
            return ""
        case OneBase():
            return "NAME"
        case ListOfBases():
            return "[NAME, NAME]"
        case NamedBases(names):
            return "{" + ", ".join(f"{name}: NAME" for name in names) + "}"
        case RoutedBases(parameter, member):
            return f"NAME, or {member}: NAME in {parameter}"
        case _:
            assert_never(one.base)


def record(described: Described) -> dict[str, object]:
    """What is known of a type, for programs."""
    one, can = described.type, described.capabilities
    return {
        "names": list(one.names),
        "about": one.about,
        "base": base_of(one) or None,
        "extra": one.extra,
        "parameters": [
            {
                "name": parameter.name,
                "aliases": list(parameter.aliases),
                "required": parameter.required,
                "secret": parameter.secret,
                "value": parameter.kind.expected,
                "about": parameter.about,
            }
            for parameter in one.parameters
        ],
        "capabilities": None if can is None else abilities(can),
        "notes": [] if can is None else list(can.notes),
    }


def abilities(can: Capabilities) -> dict[str, bool]:
    """What it can and cannot do, by the names of the fields."""
    told = asdict(can)
    return {name: told[name] for name in ABILITIES}


def markdown(all_types: Sequence[Described]) -> Iterator[str]:
    """Three tables: the types, what they can do, and their parameters."""
    yield "| type | `base:` | what it is |"
    yield "|---|---|---|"
    for described in all_types:
        one = described.type
        needs = f" Needs `pip install 'objectstore[{one.extra}]'`." if one.extra else ""
        base = f"`{base_of(one)}`" if base_of(one) else ""
        yield _row([", ".join(f"`{name}`" for name in one.names), base, one.about + needs])
    yield ""
    yield _row(["type", *ABILITIES])
    yield "|---" * (1 + len(ABILITIES)) + "|"
    for described in all_types:
        told = {} if described.capabilities is None else abilities(described.capabilities)
        marks = [{True: "yes", False: "no", None: "depends"}[told.get(name)] for name in ABILITIES]
        yield _row([f"`{described.type.names[0]}`", *marks])
    yield ""
    yield "| type | parameter | value | meaning |"
    yield "|---|---|---|---|"
    for described in all_types:
        for parameter in described.type.parameters:
            name = f"`{described.type.names[0]}`"
            yield _row([name, _spelled(parameter), parameter.kind.expected, parameter.about])


def _spelled(parameter: Parameter) -> str:
    names = " or ".join(f"`{name}`" for name in (parameter.name, *parameter.aliases))
    marks = [mark for mark, has in (("required", parameter.required), ("secret", parameter.secret)) if has]
    return f"{names} ({', '.join(marks)})" if marks else names


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _foreign(name: str) -> StoreType:
    def build(_values: Mapping[str, Any], _bases: Sequence[Backend]) -> Backend:
        raise NotImplementedError

    return StoreType(names=(name,), about="A class that a package adds.", build=build, foreign=True)


def _parts(one: StoreType) -> Sequence[str]:
    return one.base.names if isinstance(one.base, NamedBases) else ("",)


def _values(parameters: Sequence[Parameter]) -> Iterator[Mapping[str, Any]]:
    """Values that may do: of what is required, and then of one more, with another sample tried first each time."""
    required = [one for one in parameters if one.required]
    optional = [one for one in parameters if not one.required]
    for chosen in (required, *([*required, one] for one in optional)):
        for first in range(len(_SAMPLES)):
            samples = (*_SAMPLES[first:], *_SAMPLES[:first])
            yield {one.name: _sample(one.kind, samples) for one in chosen}


def _sample(kind: Kind, samples: Sequence[Any]) -> Any:
    for sample in samples:
        try:
            return kind.parse(sample)
        except (ValueError, TypeError):
            continue
    return None
