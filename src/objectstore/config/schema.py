"""storage.yaml → a checked, frozen description of the store to serve. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, assert_never

from objectstore.config import plugins
from objectstore.config.custom import custom_type, imported, is_reference
from objectstore.config.document import Node, plain, read_document
from objectstore.config.environment import expand
from objectstore.config.nearest import among
from objectstore.config.parameters import Parameter
from objectstore.config.storetype import ListOfBases, NamedBases, NoBase, OneBase, RoutedBases, StoreType
from objectstore.config.types import TYPES
from objectstore.errors import ConfigurationError

_MEMBERS: Final = ("stores", "main")
_STORE_MEMBERS: Final = ("type", "config", "base")


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """One store, with its bases inside."""

    name: str
    type_name: str  # as the file spells it
    type: StoreType
    values: Mapping[str, Any] = field(repr=False)  # checked, by the names of parameters; some are secret
    bases: tuple[StoreConfig, ...]
    place: str  # `storage.yaml:12`, for errors


@dataclass(frozen=True, slots=True)
class StorageFile:
    """All that a storage.yaml describes, checked."""

    main: str
    stores: Mapping[str, StoreConfig]  # in the order of the file


def load(
    path: Path, env: Mapping[str, str], store_name: str | None = None, *, types: Sequence[StoreType] = TYPES
) -> StoreConfig:
    """The store that the file at `path` describes as `main`, or the one of it called `store_name`.

    All stores are checked; variables and values only for those that are served, so that a file may describe
    stores of other places.

    Raises:
        ConfigurationError: in one line, with file and line: what is wrong, and what may have been meant.
    """
    return parse(read_document(path), env, store_name, types=types)


def parse(
    root: Node, env: Mapping[str, str], store_name: str | None = None, *, types: Sequence[StoreType] = TYPES
) -> StoreConfig:
    """As `load`, of a document that is at hand."""
    members, stores = _read(root, env, types)
    return _resolve(_served(root, members, stores, env, store_name), stores, env)


def load_all(path: Path, env: Mapping[str, str], *, types: Sequence[StoreType] = TYPES) -> StorageFile:
    """Every store of the file, as `load` gives one: their variables and values are checked, too."""
    root = read_document(path)
    members, stores = _read(root, env, types)
    main = _served(root, members, stores, env, None).name
    return StorageFile(main, {name: _resolve(store, stores, env) for name, store in stores.items()})


def _read(
    root: Node, env: Mapping[str, str], types: Sequence[StoreType]
) -> tuple[Mapping[str, Node], Mapping[str, _Store]]:
    """The members of the file, and its stores with their names checked."""
    members = _members(root, "the file", _MEMBERS)
    if "stores" not in members:
        raise ConfigurationError(f"{root.place}: there is no 'stores'")
    by_name = {name: one for one in types for name in one.names}
    entries = _mapping(members["stores"], "'stores'")
    stores = {name: _Store(name, node, env, by_name) for name, node in entries.items()}
    for store in stores.values():
        store.check_bases(stores)
    for name in stores:
        _refuse_cycles(name, stores, ())
    return members, stores


class _Store:
    """One entry of `stores`, with its names checked and its values not yet read."""

    def __init__(self, name: str, node: Node, env: Mapping[str, str], types: Mapping[str, StoreType]) -> None:
        self.name = name
        self.place = node.place
        owner = f"store {name!r}"
        members = _members(node, owner, _STORE_MEMBERS)
        if "type" not in members:
            raise ConfigurationError(f"{node.place}: {owner} has no 'type'")
        written = expand(members["type"], env, owner)
        self.type_name = str(written.value)
        config = _given(members.get("config"))
        base = _given(members.get("base"))
        base = None if base is None else expand(base, env, owner)
        found = self._type(written, types, config, base) if isinstance(written.value, str) else None
        if found is None:
            known = (*types, *plugins.names())
            raise ConfigurationError(f"{written.place}: {owner}: unknown type {_unknown(written, known)}")
        self.type = found
        self.given = self._parameters(config)
        self.bases = self._bases(base, env)

    def _type(
        self, written: Node, types: Mapping[str, StoreType], config: Node | None, base: Node | None
    ) -> StoreType | None:
        """One of ours, one that a package adds, or a class by its address."""
        name = self.type_name
        if name in types:
            return types[name]
        names = tuple(config.value) if config is not None and isinstance(config.value, Mapping) else ()
        if is_reference(name):
            return custom_type(name, partial(imported, name), names, base)
        try:
            found = plugins.load(name)
        except ConfigurationError as error:
            raise ConfigurationError(f"{written.place}: store {self.name!r}: {error}") from error
        if found is None or isinstance(found, StoreType):
            return found
        return custom_type(name, lambda: found, names, base)

    def _parameters(self, config: Node | None) -> Mapping[Parameter, Node]:
        known = {name: one for one in self.type.parameters for name in (one.name, *one.aliases)}
        given: dict[Parameter, Node] = {}
        written = {} if config is None else _mapping(config, f"'config' of {self.name!r}")
        for name, node in written.items():
            if name not in known:
                raise self._wrong(f"unknown parameter {name!r}{among(name, known)}", node)
            if known[name] in given:
                raise self._wrong(f"{name!r} is another spelling of {known[name].name!r}, which is given too", node)
            given[known[name]] = node
        for parameter in self.type.parameters:
            if parameter.required and parameter not in given:
                raise self._wrong(f"the parameter {parameter.name!r} is missing: {parameter.about}", config)
        return given

    def _bases(self, base: Node | None, env: Mapping[str, str]) -> tuple[Node, ...]:
        match self.type.base:
            case NoBase():
                if base is not None:
                    raise self._wrong("it stores objects itself and takes no base", base)
                return ()
            case OneBase():
                if base is None or not isinstance(base.value, str):
                    raise self._wrong("it wraps one store: write 'base: NAME'", base)
                return (base,)
            case ListOfBases():
                if base is None or not isinstance(base.value, tuple) or not base.value:
                    raise self._wrong("it wraps several stores: write 'base: [NAME, NAME]'", base)
                return base.value
            case NamedBases(names):
                written = base.value if base is not None and isinstance(base.value, Mapping) else {}
                if set(written) != set(names):
                    wanted = ", ".join(f"{name}: NAME" for name in names)
                    raise self._wrong(f"it wraps stores by their parts: write 'base: {{{wanted}}}'", base)
                return tuple(written[name] for name in names)
            case RoutedBases(parameter, member):
                if base is not None and not isinstance(base.value, str):
                    raise self._wrong("it wraps one store beside those of its routes: write 'base: NAME'", base)
                bases = (*([] if base is None else [base]), *self._routed(parameter, member, env))
                if not bases:
                    raise self._wrong(
                        f"it wraps stores: write 'base: NAME', or '{member}: NAME' in {parameter!r}", base
                    )
                return bases
            case _:
                assert_never(self.type.base)

    def _routed(self, parameter: str, member: str, env: Mapping[str, str]) -> tuple[Node, ...]:
        """The stores that the entries of a parameter name, each where it is first named."""
        written = next((node.value for one, node in self.given.items() if one.name == parameter), ())
        found: dict[str, Node] = {}
        # What is no list of mappings is complained of when the parameter's value is read.
        for entry in written if isinstance(written, tuple) else ():
            if isinstance(entry.value, Mapping) and member in entry.value:
                node = expand(entry.value[member], env, f"store {self.name!r}")
                found.setdefault(str(node.value), node)
        return tuple(found.values())

    def check_bases(self, stores: Mapping[str, _Store]) -> None:
        """Raises ConfigurationError for a base that is no store."""
        for base in self.bases:
            if not isinstance(base.value, str) or base.value not in stores:
                raise self._wrong(f"unknown base {_unknown(base, stores)}", base)

    def values(self, env: Mapping[str, str]) -> Mapping[str, Any]:
        """The values of the parameters, by name. Raises ConfigurationError."""
        found = {}
        for parameter, written in self.given.items():
            node = expand(written, env, f"store {self.name!r}")
            value = plain(node)
            try:
                found[parameter.name] = parameter.kind.parse(value)
            except (ValueError, TypeError):
                shown = "" if parameter.secret else f" {value!r}:"
                wanted = f"{parameter.name!r}{shown} has to be {parameter.kind.expected}"
                raise self._wrong(wanted, node) from None
        return MappingProxyType(found)

    def _wrong(self, complaint: str, node: Node | None) -> ConfigurationError:
        place = self.place if node is None else node.place
        return ConfigurationError(f"{place}: store {self.name!r} ({self.type_name}): {complaint}")


def _served(
    root: Node, members: Mapping[str, Node], stores: Mapping[str, _Store], env: Mapping[str, str], name: str | None
) -> _Store:
    if name is not None:
        if name not in stores:
            raise ConfigurationError(f"{root.place}: there is no store {name!r}{among(name, stores)}")
        return stores[name]
    if "main" not in members:
        raise ConfigurationError(f"{root.place}: there is no 'main', which names the store to serve")
    main = expand(members["main"], env, "'main'")
    if not isinstance(main.value, str) or main.value not in stores:
        raise ConfigurationError(f"{main.place}: 'main' is no store: {_unknown(main, stores)}")
    return stores[main.value]


def _refuse_cycles(name: str, stores: Mapping[str, _Store], above: tuple[str, ...]) -> None:
    if name in above:
        path = " → ".join((*above[above.index(name) :], name))
        raise ConfigurationError(f"{stores[name].place}: store {name!r} is its own base: {path}")
    for base in stores[name].bases:
        _refuse_cycles(base.value, stores, (*above, name))


def _resolve(store: _Store, stores: Mapping[str, _Store], env: Mapping[str, str]) -> StoreConfig:
    return StoreConfig(
        name=store.name,
        type_name=store.type_name,
        type=store.type,
        values=store.values(env),
        bases=tuple(_resolve(stores[base.value], stores, env) for base in store.bases),
        place=store.place,
    )


def _given(node: Node | None) -> Node | None:
    """What is left empty is left out."""
    return None if node is None or node.value is None else node


def _unknown(node: Node, known: Iterable[str]) -> str:
    return f"{plain(node)!r}{among(str(node.value), known)}"


def _mapping(node: Node, what: str) -> Mapping[str, Node]:
    if not isinstance(node.value, Mapping):
        raise ConfigurationError(f"{node.place}: {what} has to be a mapping of names to values")
    return node.value


def _members(node: Node, what: str, known: Sequence[str]) -> Mapping[str, Node]:
    members = _mapping(node, what)
    for name, member in members.items():
        if name not in known and not name.startswith("x-"):
            raise ConfigurationError(f"{member.place}: {what}: unknown member {name!r}{among(name, known)}")
    return members
