"""Types that are classes from elsewhere: `type: package.module:Class`, or a class that a package has registered."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from objectstore.backends.adapter import AdaptedBackend
from objectstore.backends.contract import Backend
from objectstore.config.document import Node
from objectstore.config.nearest import among
from objectstore.config.parameters import Kind, Parameter
from objectstore.config.storetype import Base, ListOfBases, NamedBases, NoBase, OneBase, StoreType, Values
from objectstore.errors import ConfigurationError

_REFERENCE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_ANY: Final = Kind("what the class takes", lambda value: value)
_Class: TypeAlias = Callable[..., object]


def is_reference(name: str) -> bool:
    """Whether it is spelled `package.module:Class`."""
    return _REFERENCE.fullmatch(name) is not None


def custom_type(name: str, find: Callable[[], object], config: Sequence[str], base: Node | None) -> StoreType:
    """The type that the class which `find` gives makes for a store with these parameters and this base.

    The class is given the parameters by name, and of stores that it wraps: one as its first argument, a list of them
    as a list, named ones by their names. A class that is a backend itself is given backends and used as it is.
    """
    parameters = tuple(Parameter(name=one, kind=_ANY, about="", secret=True) for one in config)
    return StoreType(
        names=(name,),
        about="A class from elsewhere.",
        parameters=parameters,
        base=_shape(base),
        build=_Builder(name, find, _shape(base)),
        foreign=True,
    )


def imported(reference: str) -> object:
    """What stands at `package.module:Class`. Raises ConfigurationError."""
    module_name, _, path = reference.partition(":")
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigurationError(
                f"there is no module {error.name!r}: install the package that has it, or add its folder to PYTHONPATH"
            ) from error
        raise ConfigurationError(f"{module_name} needs {error.name}, which is not installed") from error
    except Exception as error:
        raise ConfigurationError(f"{module_name} cannot be imported: {type(error).__name__}: {error}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            known = [one for one, value in vars(found).items() if isinstance(value, type)]
            raise ConfigurationError(f"{module_name} has no {part!r}{among(part, known)}")
        found = getattr(found, part)
    return found


def _shape(base: Node | None) -> Base:
    if base is None:
        return NoBase()
    if isinstance(base.value, Mapping):
        return NamedBases(tuple(base.value))
    return ListOfBases() if isinstance(base.value, tuple) else OneBase()


class _Builder:
    def __init__(self, name: str, find: Callable[[], object], base: Base) -> None:
        self._name = name
        self._find = find
        self._base = base

    def __call__(self, values: Values, bases: Sequence[Backend]) -> Backend:
        kind = self._find()
        if not callable(kind):
            raise ConfigurationError(f"{self._name} is no class")
        self._check_arguments(kind, values, bases)
        if hasattr(kind, "capabilities") and hasattr(kind, "uploads"):
            return cast("Backend", self._made(kind, values, bases))  # what has these says that it is one

        def make(stores: Sequence[object]) -> object:
            return self._made(kind, values, stores)

        return AdaptedBackend(self._name, kind, make, bases)

    def _made(self, kind: _Class, values: Values, stores: Sequence[object]) -> object:
        arguments, named = self._arguments(values, stores)
        return kind(*arguments, **named)

    def _arguments(self, values: Values, stores: Sequence[object]) -> tuple[Sequence[object], dict[str, Any]]:
        match self._base:
            case OneBase():
                return stores, dict(values)
            case ListOfBases():
                return [list(stores)], dict(values)
            case NamedBases(names):
                return [], {**dict(zip(names, stores, strict=True)), **values}
            case _:
                return [], dict(values)

    def _check_arguments(self, kind: _Class, values: Values, stores: Sequence[object]) -> None:
        """Before anything is opened. Raises ConfigurationError."""
        try:
            signature = inspect.signature(kind)
        except ValueError:
            return  # not every class tells
        arguments, named = self._arguments(values, stores)
        try:
            signature.bind(*arguments, **named)
        except TypeError as error:
            takes = ", ".join(map(str, signature.parameters.values()))
            raise ConfigurationError(
                f"its arguments are 'config' and 'base', and {error}: it takes ({takes})"
            ) from error
