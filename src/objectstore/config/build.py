"""Settings or a description of a store → the backend, constructed and not yet opened."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from objectstore.backends.contract import Backend
from objectstore.config.settings import Settings
from objectstore.errors import ConfigurationError
from objectstore.wrappers.shared import Shared

if TYPE_CHECKING:
    from objectstore.config.schema import StoreConfig

_ENGINE: Final = "EngineStore"
_USER: Final = re.compile(r"(\w://)[^/@\s]+@")
_log: Final = logging.getLogger("objectstore.config")


def open_backend(settings: Settings) -> Backend:
    """The backend that the settings name, to be opened by `async with`; a warning when nothing in it persists.

    Raises:
        ConfigurationError: it cannot be had, or not by so many processes.
    """
    config = None if settings.storage_config is None else _described(settings.storage_config, settings.storage_name)
    backend = _of_folder(settings) if config is None else build(config)
    capabilities = backend.capabilities
    if settings.workers > 1 and not capabilities.shared:
        raise ConfigurationError(
            f"WORKERS={settings.workers}: {capabilities.name} belongs to one process, and cannot be served by several; "
            "set WORKERS=1, or DATA_DIR to a folder"
        )
    if config is not None and _is_foreign(config):
        _log.warning("%s has a class from elsewhere in it: whether objects persist is up to that", capabilities.name)
    elif not capabilities.persistent:
        _log.warning(
            "nothing persists: %s keeps objects only as long as the server runs; set DATA_DIR to a folder to keep them",
            capabilities.name,
        )
    return backend


def engine_folders(settings: Settings) -> Sequence[Path]:
    """The data directories that are served from: of the embedded store, wherever it is in the tree.

    Raises:
        ConfigurationError: as `open_backend` does.
    """
    if settings.storage_config is None:
        return [] if settings.data_dir is None else [settings.data_dir]
    found: dict[Path, None] = {}
    waiting = [_described(settings.storage_config, settings.storage_name)]
    while waiting:
        config = waiting.pop()
        if _ENGINE in config.type.names:
            found[config.values["path"]] = None
        waiting += config.bases
    return list(found)


def _described(path: Path, name: str | None) -> StoreConfig:
    # YAML and the table of types take a server as long to import as an index of a million objects takes to open.
    from objectstore.config.schema import load

    return load(path, os.environ, name)


def build(config: StoreConfig) -> Backend:
    """The store with its bases. A store that several others wrap is one backend, opened once for all of them.

    Raises:
        ConfigurationError: something that it needs is not installed, or its parameters do not go together.
    """
    return _build(config, _shared(config), {})


def describe(config: StoreConfig) -> Iterator[str]:
    """The tree for people, a line a store: `cached: CachingStore(ttl=60)`, its bases indented below. No secrets."""
    yield title(config)
    for base in config.bases:
        for line in describe(base):
            yield f"  {line}"


def title(config: StoreConfig) -> str:
    """One store in a line, without its bases and without secrets."""
    return f"{config.name}: {config.type_name}({', '.join(f'{name}={text}' for name, text in shown(config).items())})"


def shown(config: StoreConfig) -> Mapping[str, str]:
    """The values of a store's parameters as they may be printed: secrets are hidden, also inside URLs."""
    secret = {parameter.name for parameter in config.type.parameters if parameter.secret}
    return {name: "(hidden)" if name in secret else _shown(value) for name, value in config.values.items()}


def _shown(value: object) -> str:
    text = repr(str(value)) if isinstance(value, PurePath) else repr(value)
    return _USER.sub(r"\1(hidden)@", text)


def _of_folder(settings: Settings) -> Backend:
    if settings.data_dir is not None:
        from objectstore.backends.engine.backend import EngineBackend

        return EngineBackend(settings.data_dir, durability=settings.durability)
    from objectstore.backends.memory import MemoryBackend

    return MemoryBackend()


def _is_foreign(config: StoreConfig) -> bool:
    return config.type.foreign or any(map(_is_foreign, config.bases))


def _shared(config: StoreConfig) -> frozenset[str]:
    """The names of the stores that more than one other wraps, or one more than once."""
    seen: set[str] = set()
    wrapped: Counter[str] = Counter()

    def count(store: StoreConfig) -> None:
        if store.name not in seen:
            seen.add(store.name)
            wrapped.update(base.name for base in store.bases)
            for base in store.bases:
                count(base)

    count(config)
    return frozenset(name for name, times in wrapped.items() if times > 1)


def _build(config: StoreConfig, shared: frozenset[str], built: dict[str, Backend]) -> Backend:
    if config.name not in built:
        bases = [_build(base, shared, built) for base in config.bases]
        backend = _built(config, bases)
        built[config.name] = Shared(backend) if config.name in shared else backend
    return built[config.name]


def _built(config: StoreConfig, bases: Sequence[Backend]) -> Backend:
    store = f"{config.place}: store {config.name!r} ({config.type_name})"
    try:
        return config.type.build(config.values, bases)
    except ConfigurationError as error:
        raise ConfigurationError(f"{store}: {error}") from error
    except ModuleNotFoundError as error:
        if config.type.extra is None:
            raise
        raise ConfigurationError(
            f"{store} needs {error.name}, which is not installed: pip install 'objectstore[{config.type.extra}]'"
        ) from error
