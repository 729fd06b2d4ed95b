"""The settings of a server: what the environment says, checked and frozen."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from objectstore.config.units import parse_duration, parse_size
from objectstore.core.rates import UNLIMITED, WANTED, Rate, parse_rate
from objectstore.errors import ConfigurationError
from objectstore.ratelimit.addresses import Networks, parse_networks

_URL: Final = re.compile(r"[!$%&'()*+,\-./0-9:;=A-Z\[\]_a-z~]+")  # without a query and a fragment
_ORIGIN: Final = re.compile(r"https?://(?:[0-9A-Za-z.\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SECRET: Final = frozenset({"rate_limit_storage"})  # may hold a password, so an error does not show it
_DURATION: Final = "seconds, or a number with the unit s, m, h, d or w such as 12h"


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _size(value: Any) -> Any:
    return parse_size(value) if isinstance(value, str) else value


def _lifetime(value: Any) -> Any:
    found = parse_duration(value) if isinstance(value, str) else value
    if not found:
        raise ValueError
    return found


def _interval(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _link_lifetime(value: Any) -> Any:
    found = _lifetime(value)
    # Far from the end of the calendar, whatever the clock says.
    if found > timedelta(days=36500):
        raise ValueError
    return found


def _seconds(value: Any) -> Any:
    return parse_duration(value).total_seconds() if isinstance(value, str) else value


def _public_url(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _URL.fullmatch(value) or "@" in parts.netloc:
        raise ValueError
    _ = parts.port  # raises ValueError when it is none
    return value.rstrip("/")


def _origins(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    origins = tuple(one.strip().rstrip("/") for one in value.split(",") if one.strip())
    if origins != ("*",) and not all(map(_ORIGIN.fullmatch, origins)):
        raise ValueError
    return origins


def _rate(value: Any) -> Any:
    return parse_rate(value) if isinstance(value, str) else value


def _networks(value: Any) -> Any:
    return parse_networks(value) if isinstance(value, str) else value


RateSetting = Annotated[Rate, NoDecode, BeforeValidator(_rate)]


class Settings(BaseSettings):
    """Each setting is the environment variable of its name in capitals; one that is empty counts as not set.

    The descriptions say what a value may be: they are what the error for a bad one shows.
    """

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    storage_config: Path | None = Field(None, description="the path of a storage.yaml")
    storage_name: str | None = Field(None, description="the name of a store in STORAGE_CONFIG, instead of its main one")
    data_dir: Path | None = Field(None, description="the path of a folder")
    durability: Annotated[Literal["full", "relaxed"], BeforeValidator(_lower)] = Field(
        "full", description="full or relaxed"
    )
    auth_tokens_file: Path = Field(Path("tokens.json"), description="the path of a token file")
    host: str = Field("127.0.0.1", description="an address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="a port from 1 to 65535, or 0 for any free one")
    workers: int = Field(1, ge=1, description="a whole number of processes, at least 1")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="debug, info, warning or error"
    )
    log_format: Annotated[Literal["auto", "human", "json"], BeforeValidator(_lower)] = Field(
        "auto", description="auto, human or json"
    )
    access_log: bool = Field(True, description="true or false")
    max_object_size: Annotated[int, BeforeValidator(_size)] = Field(
        5 * 1024**4, ge=1, description="a number of bytes, at least 1, such as 1048576, 10GB or 5GiB"
    )
    upload_ttl: Annotated[timedelta, BeforeValidator(_lifetime)] = Field(
        timedelta(days=7), description=f"more than 0 {_DURATION}"
    )
    scrub_interval: Annotated[timedelta, BeforeValidator(_interval)] = Field(
        timedelta(days=30), description=f"{_DURATION}, or 0 for never"
    )
    scrub_rate: Annotated[int, BeforeValidator(_size)] = Field(
        10_000_000, ge=0, description="a number of bytes a second, such as 10MB, or 0 for any"
    )
    shutdown_timeout: Annotated[int, BeforeValidator(_seconds)] = Field(
        30, ge=0, description=f"a whole number of {_DURATION}"
    )
    docs_public: bool = Field(True, description="true or false")
    public_url: Annotated[str | None, AfterValidator(_public_url)] = Field(
        None, description="the URL of a server, as in https://data.example.org or https://example.org/store"
    )
    link_secret_file: Path | None = Field(None, description="the path of a file that holds a secret, or is to")
    link_max_ttl: Annotated[timedelta, BeforeValidator(_link_lifetime)] = Field(
        timedelta(days=7), description=f"more than 0 {_DURATION}, and at most 36500d"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = Field(
        (), description="origins separated by commas, as in https://app.example.org,http://localhost:5173, or *"
    )
    rate_limit: RateSetting = Field(UNLIMITED, description=f"a rate {WANTED}")
    rate_limit_address: RateSetting = Field(parse_rate("60/minute"), description=f"a rate {WANTED}")
    rate_limit_storage: str = Field(
        "memory://",
        pattern=r"^(memory://|rediss?://[^/\s]\S*)$",
        description="memory://, or a Redis as redis://USER:PASSWORD@HOST:PORT/DB or rediss://…",
    )
    rate_limit_failure: Annotated[Literal["open", "closed"], BeforeValidator(_lower)] = Field(
        "open", description="open or closed"
    )
    max_concurrent_requests: int = Field(0, ge=0, description="a whole number of requests, or 0 for any")
    request_timeout: Annotated[float, BeforeValidator(_seconds)] = Field(
        30.0, ge=0, allow_inf_nan=False, description=f"{_DURATION}, or 0 for never"
    )
    idle_timeout: Annotated[float, BeforeValidator(_seconds)] = Field(
        30.0, ge=0, allow_inf_nan=False, description=f"{_DURATION}, or 0 for never"
    )
    trusted_proxies: Annotated[Networks, NoDecode, BeforeValidator(_networks)] = Field(
        (), description="addresses and networks separated by commas, as in 10.0.0.0/8,::1"
    )
    metrics_public: bool = Field(False, description="true or false")
    prometheus_multiproc_dir: Path | None = Field(None, description="the path of a folder")

    @model_validator(mode="after")
    def _one_store(self) -> Self:
        if self.storage_config is not None and self.data_dir is not None:
            raise ValueError("STORAGE_CONFIG and DATA_DIR are both set, and each names a store: unset one of them")
        if self.storage_config is None and self.storage_name is not None:
            raise ValueError(
                f"STORAGE_NAME={self.storage_name!r} is the name of a store in a storage.yaml: "
                "set STORAGE_CONFIG to the file, or unset STORAGE_NAME"
            )
        return self


def load_settings(**given: object) -> Settings:
    """The settings of the environment; what is `given` by name goes before it.

    Raises:
        ConfigurationError: a line for each value that cannot be used, with the variable and what it may be.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]  # checked by the model itself
    except ValidationError as error:
        lines = map(_complaint, error.errors(include_url=False, include_context=False))
        raise ConfigurationError("\n".join(lines)) from None


def _complaint(problem: ErrorDetails) -> str:
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    name = str(problem["loc"][0])
    if name in _SECRET:
        return f"{name.upper()}: it has to be {Settings.model_fields[name].description}"
    return f"{name.upper()}={str(problem['input'])!r}: it has to be {Settings.model_fields[name].description}"
