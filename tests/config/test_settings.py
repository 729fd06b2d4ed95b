from __future__ import annotations

import os
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from objectstore.config.settings import Settings, load_settings
from objectstore.core.rates import WANTED, Window
from objectstore.errors import ConfigurationError

_URLS = "the URL of a server, as in https://data.example.org or https://example.org/store"
_LIFETIMES = "more than 0 seconds, or a number with the unit s, m, h, d or w such as 12h, and at most 36500d"
_ORIGINS = "origins separated by commas, as in https://app.example.org,http://localhost:5173, or *"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the settings is set."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)


def test_without_any_setting_there_are_defaults() -> None:
    settings = load_settings()
    assert settings.model_dump() == {
        "storage_config": None,
        "storage_name": None,
        "data_dir": None,
        "durability": "full",
        "auth_tokens_file": Path("tokens.json"),
        "host": "127.0.0.1",
        "port": 8000,
        "workers": 1,
        "log_level": "info",
        "log_format": "auto",
        "access_log": True,
        "max_object_size": 5 * 2**40,
        "upload_ttl": timedelta(days=7),
        "scrub_interval": timedelta(days=30),
        "scrub_rate": 10_000_000,
        "shutdown_timeout": 30,
        "docs_public": True,
        "metrics_public": False,
        "prometheus_multiproc_dir": None,
        "public_url": None,
        "link_secret_file": None,
        "link_max_ttl": timedelta(days=7),
        "cors_origins": (),
        "rate_limit": (),
        "rate_limit_address": ({"quota": 60, "period": 60},),
        "rate_limit_storage": "memory://",
        "rate_limit_failure": "open",
        "max_concurrent_requests": 0,
        "request_timeout": 30.0,
        "idle_timeout": 30.0,
        "trusted_proxies": (),
    }


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("STORAGE_CONFIG", "./storage.yaml", Path("storage.yaml")),
        ("DATA_DIR", "/data", Path("/data")),
        ("DURABILITY", "relaxed", "relaxed"),
        ("AUTH_TOKENS_FILE", "/run/tokens.json", Path("/run/tokens.json")),
        ("HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104  nothing listens
        ("PORT", "0", 0),
        ("WORKERS", "4", 4),
        ("LOG_LEVEL", "WARNING", "warning"),
        ("LOG_FORMAT", "JSON", "json"),
        ("ACCESS_LOG", "false", False),
        ("MAX_OBJECT_SIZE", "10GB", 10**10),
        ("UPLOAD_TTL", "12h", timedelta(hours=12)),
        ("UPLOAD_TTL", "90", timedelta(seconds=90)),
        ("SCRUB_INTERVAL", "12w", timedelta(weeks=12)),
        ("SCRUB_INTERVAL", "0", timedelta(0)),
        ("SCRUB_RATE", "50MB", 50_000_000),
        ("SHUTDOWN_TIMEOUT", "2m", 120),
        ("DOCS_PUBLIC", "false", False),
        ("METRICS_PUBLIC", "true", True),
        ("PROMETHEUS_MULTIPROC_DIR", "/run/tallies", Path("/run/tallies")),
        ("PUBLIC_URL", "https://example.org/store/", "https://example.org/store"),
        ("LINK_SECRET_FILE", "/run/links.key", Path("/run/links.key")),
        ("LINK_MAX_TTL", "30d", timedelta(days=30)),
        ("CORS_ORIGINS", "*", ("*",)),
        ("CORS_ORIGINS", "https://a.org, http://[::1]:80/", ("https://a.org", "http://[::1]:80")),
        ("RATE_LIMIT", "5000/minute; 100/second", (Window(100, 1), Window(5000, 60))),
        ("RATE_LIMIT_ADDRESS", "none", ()),
        ("MAX_CONCURRENT_REQUESTS", "500", 500),
        ("REQUEST_TIMEOUT", "0.5", 0.5),
        ("IDLE_TIMEOUT", "2m", 120),
        ("RATE_LIMIT_STORAGE", "rediss://user:word@redis.example:6380/2", "rediss://user:word@redis.example:6380/2"),
        ("RATE_LIMIT_FAILURE", "Closed", "closed"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
    ],
)
def test_a_setting_comes_from_the_variable_of_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: object
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(load_settings(), name.lower()) == wanted


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    default = load_settings()
    monkeypatch.setenv(name, "")
    assert load_settings() == default


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("DURABILITY", "none", "full or relaxed"),
        ("PORT", "65536", "a port from 1 to 65535, or 0 for any free one"),
        ("PORT", "http", "a port from 1 to 65535, or 0 for any free one"),
        ("WORKERS", "0", "a whole number of processes, at least 1"),
        ("WORKERS", "1.5", "a whole number of processes, at least 1"),
        ("LOG_LEVEL", "verbose", "debug, info, warning or error"),
        ("LOG_FORMAT", "xml", "auto, human or json"),
        ("ACCESS_LOG", "perhaps", "true or false"),
        ("MAX_OBJECT_SIZE", "10 G", "a number of bytes, at least 1, such as 1048576, 10GB or 5GiB"),
        ("MAX_OBJECT_SIZE", "0", "a number of bytes, at least 1, such as 1048576, 10GB or 5GiB"),
        ("SCRUB_INTERVAL", "-1", "seconds, or a number with the unit s, m, h, d or w such as 12h, or 0 for never"),
        ("SCRUB_RATE", "fast", "a number of bytes a second, such as 10MB, or 0 for any"),
        ("UPLOAD_TTL", "0", "more than 0 seconds, or a number with the unit s, m, h, d or w such as 12h"),
        ("UPLOAD_TTL", "a week", "more than 0 seconds, or a number with the unit s, m, h, d or w such as 12h"),
        ("SHUTDOWN_TIMEOUT", "-1", "a whole number of seconds, or a number with the unit s, m, h, d or w such as 12h"),
        ("SHUTDOWN_TIMEOUT", "0.5", "a whole number of seconds, or a number with the unit s, m, h, d or w such as 12h"),
        ("DOCS_PUBLIC", "perhaps", "true or false"),
        ("METRICS_PUBLIC", "perhaps", "true or false"),
        *(("PUBLIC_URL", value, _URLS) for value in ("example.org", "ftp://a.org", "http://a.org/?b", "http://a b/")),
        *(("PUBLIC_URL", value, _URLS) for value in ("https://me@a.org", "http://a.org:x", "http://a.org/#b")),
        *(("LINK_MAX_TTL", value, _LIFETIMES) for value in ("0", "36501d", "long")),
        *(("CORS_ORIGINS", value, _ORIGINS) for value in ("a.org", "null", "*,https://a.org", "https://a.org/path")),
        ("RATE_LIMIT", "fast", f"a rate {WANTED}"),
        ("RATE_LIMIT", "10/second;20/second", f"a rate {WANTED}"),
        ("MAX_CONCURRENT_REQUESTS", "-1", "a whole number of requests, or 0 for any"),
        ("IDLE_TIMEOUT", "x", "seconds, or a number with the unit s, m, h, d or w such as 12h, or 0 for never"),
        ("RATE_LIMIT_FAILURE", "ajar", "open or closed"),
        ("TRUSTED_PROXIES", "proxy", "addresses and networks separated by commas, as in 10.0.0.0/8,::1"),
    ],
)
def test_a_bad_value_is_one_line_with_the_variable_the_value_and_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, accepted: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.message == f"{name}={value!r}: it has to be {accepted}"


@pytest.mark.parametrize("value", ["memcached://a", "redis://", "user:secret@redis", "redis://:secret@ host"])
def test_a_storage_of_the_limits_is_not_shown_for_its_password(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RATE_LIMIT_STORAGE", value)
    with pytest.raises(ConfigurationError, match=r"^RATE_LIMIT_STORAGE: it has to be memory://, or a Redis") as caught:
        load_settings()
    assert "secret" not in caught.value.message


def test_each_bad_value_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("WORKERS", "y")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert [line.split("=")[0] for line in caught.value.message.splitlines()] == ["PORT", "WORKERS"]


def test_two_stores_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_CONFIG", "storage.yaml")
    monkeypatch.setenv("DATA_DIR", "/data")
    with pytest.raises(ConfigurationError, match=r"^STORAGE_CONFIG and DATA_DIR are both set.*unset one of them$"):
        load_settings()


def test_the_name_of_a_store_is_of_no_use_without_the_file_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_NAME", "s3")
    with pytest.raises(ConfigurationError, match=r"^STORAGE_NAME='s3' .*set STORAGE_CONFIG to the file, or unset"):
        load_settings()
    monkeypatch.setenv("STORAGE_CONFIG", "storage.yaml")
    assert load_settings().storage_name == "s3"


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("HOST", "from-environment")
    settings = load_settings(port=9000)
    assert (settings.port, settings.host) == (9000, "from-environment")


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().port = 1


def test_a_file_named_env_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("PORT=9000\n")
    assert load_settings().port == 8000
