"""Which server is meant, and with which token: rules, and the file of profiles."""

from __future__ import annotations

import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from objectstore import AsyncRestStore, RestStore
from objectstore.client.place import Place, choose, look_up
from objectstore.client.profiles import (
    Profile,
    Profiles,
    change_profiles,
    load_profiles,
    parse,
    profiles_file,
    text_of,
)
from objectstore.errors import ConfigurationError

A, B, C = "http://a", "http://b:8000", "https://c/stores"
KNOWN = Profiles(
    default="lab", by_name={"lab": Profile(url=A, token="of-lab"), "home": Profile(url=B, token="of-home")}
)


def chosen(
    given: Mapping[str, str], environment: Mapping[str, str], known: Profiles = KNOWN, default: str | None = None
) -> tuple[str, str | None]:
    named = {f"OBJECTSTORE_{name.upper()}": value for name, value in environment.items()}
    url, token, profile = (given.get(name) for name in ("url", "token", "profile"))
    place = choose(url, token, profile, named, lambda: known, default)
    return place.url, place.token


@pytest.mark.parametrize(
    ("given", "environment", "wanted"),
    [
        # Nothing is said: the default profile.
        ({}, {}, (A, "of-lab")),
        ({"token": "t"}, {}, (A, "t")),
        ({}, {"token": "e"}, (A, "e")),
        ({}, {"profile": "home"}, (B, "of-home")),
        ({}, {"profile": "home", "token": "e"}, (B, "e")),
        # A profile that is named goes before the environment, as all that is given does.
        ({"profile": "home"}, {}, (B, "of-home")),
        ({"profile": "home"}, {"url": A, "token": "e", "profile": "lab"}, (B, "of-home")),
        ({"profile": "home", "token": "t"}, {"token": "e"}, (B, "t")),
        # The environment goes before profiles.
        ({}, {"url": C, "token": "e"}, (C, "e")),
        ({}, {"url": C, "token": "e", "profile": "home"}, (C, "e")),
        ({}, {"url": f"{B}/"}, (f"{B}/", "of-home")),
        ({}, {"url": C}, (C, None)),
        # A token goes to the server that it is for, and to no other.
        ({"url": C}, {"url": A, "token": "e"}, (C, None)),
        ({"url": A}, {"url": f"{A}/", "token": "e"}, (A, "e")),
        ({"url": C}, {"token": "e"}, (C, "e")),
        ({"url": B}, {"url": A, "token": "e"}, (B, "of-home")),
        ({"url": B}, {}, (B, "of-home")),
        ({"url": C}, {}, (C, None)),
        ({"url": C, "profile": "home"}, {}, (C, None)),
        ({"url": B, "token": "t"}, {"url": B, "token": "e"}, (B, "t")),
    ],
)
def test_what_is_given_goes_before_the_environment_and_that_before_profiles(
    given: Mapping[str, str], environment: Mapping[str, str], wanted: tuple[str, str | None]
) -> None:
    assert chosen(given, environment, default="http://last") == wanted


def test_of_two_profiles_for_a_server_the_one_that_is_named_gives_its_token() -> None:
    known = Profiles(by_name={name: Profile(url=A, token=name) for name in ("x", "y")})
    assert chosen({"url": A}, {}, known) == (A, "x")
    assert chosen({"url": A, "profile": "y"}, {}, known) == (A, "y")
    assert chosen({"url": A}, {"profile": "y"}, known) == (A, "y")
    assert chosen({"url": A}, {}, known.with_default("y")) == (A, "y")


def test_without_any_place_there_is_the_last_resort_or_an_error() -> None:
    assert chosen({}, {}, Profiles(), "http://last") == ("http://last", None)
    assert chosen({}, {"token": "e"}, Profiles(), "http://last") == ("http://last", "e")
    with pytest.raises(ValueError, match="objectstore login"):
        chosen({}, {}, Profiles())


def test_a_profile_that_there_is_not_is_told_with_those_that_there_are() -> None:
    for given, environment in (({"profile": "lap"}, {}), ({}, {"profile": "lap"})):
        with pytest.raises(ConfigurationError, match=r"no profile 'lap' \(known: home, lab\)"):
            chosen(given, environment)
    with pytest.raises(ConfigurationError, match="known: none"):
        chosen({"profile": "x"}, {}, Profiles())


def test_the_first_profile_is_the_default_one() -> None:
    one = Profiles().with_profile("a", Profile(url=A))
    two = one.with_profile("b", Profile(url=B))
    assert (one.default, two.default) == ("a", "a")
    assert two.with_profile("b", Profile(url=C), default=True).default == "b"
    assert two.without("a").default is None
    assert two.without("b").default == "a"
    assert two.with_default("b").default == "b"
    with pytest.raises(ConfigurationError):
        two.without("c")


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-x", "é", "x" * 65])
def test_some_names_are_none_of_a_profile(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no name of a profile"):
        Profiles().with_profile(name, Profile(url=A))


def test_what_is_written_is_read() -> None:
    assert parse(text_of(KNOWN)) == KNOWN
    assert parse(text_of(Profiles())) == Profiles()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"version": 2, "profiles": {}}',
        b'{"version": 1, "profiles": {"a": {"token": "secret"}}}',
        b'{"version": 1, "profiles": {"a": {"url": "http://a", "token": 1}}}',
        b'{"version": 1, "profiles": {"a": "secret"}}',
    ],
)
def test_rubbish_is_refused_without_repeating_it(text: bytes, home: Path) -> None:
    home.mkdir()
    (home / "profiles.json").write_bytes(text)
    with pytest.raises(ConfigurationError, match=r"profiles\.json") as caught:
        load_profiles()
    assert "secret" not in str(caught.value)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("URL", "TOKEN", "PROFILE"):
        monkeypatch.delenv(f"OBJECTSTORE_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "objectstore"


def test_nobody_else_can_read_the_file(home: Path) -> None:
    change_profiles(lambda old: old.with_profile("a", Profile(url=A, token="secret")))
    assert profiles_file() == home / "profiles.json"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in home.iterdir())
    (home / "profiles.json").chmod(0o644)
    change_profiles(lambda old: old.with_default("a"))
    assert stat.S_IMODE((home / "profiles.json").stat().st_mode) == 0o600
    assert "secret" not in repr(load_profiles())


def test_a_change_that_fails_changes_nothing(home: Path) -> None:
    change_profiles(lambda old: old.with_profile("a", Profile(url=A, token="secret")))
    before = (home / "profiles.json").read_bytes()
    with pytest.raises(ConfigurationError):
        change_profiles(lambda old: old.without("b"))
    assert (home / "profiles.json").read_bytes() == before
    assert {file.name for file in home.iterdir()} == {"profiles.json", "profiles.lock"}


def test_a_link_to_the_file_stays_one(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (home / "profiles.json").symlink_to(tmp_path / "kept.json")
    change_profiles(lambda old: old.with_profile("a", Profile(url=A)))
    assert (home / "profiles.json").is_symlink()
    assert parse((tmp_path / "kept.json").read_bytes()).by_name["a"].url == A


def test_changes_at_the_same_time_lose_nothing(home: Path) -> None:
    names = [f"n{number}" for number in range(12)]
    threads = [
        threading.Thread(target=change_profiles, args=[lambda old, name=name: old.with_profile(name, Profile(url=A))])
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(load_profiles().by_name) == set(names)
    assert home.is_dir()


def test_what_cannot_be_read_or_written_is_told(home: Path) -> None:
    home.mkdir()
    (home / "profiles.json").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_profiles()
    (home / "profiles.json").rmdir()
    home.rmdir()
    home.write_text("a file")
    assert load_profiles() == Profiles()
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        change_profiles(lambda old: old)


def test_clients_take_profiles(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_profiles(lambda old: old.with_profile("a", Profile(url=A)).with_profile("b", Profile(url=B)))
    assert home.is_dir()
    assert look_up(None, None) == Place(A, None)
    for client in (RestStore, AsyncRestStore):
        assert A in repr(client.create())
        assert B in repr(client.create(profile="b"))
        assert C in repr(client.create(C))
    monkeypatch.setenv("OBJECTSTORE_PROFILE", "b")
    assert B in repr(RestStore.create())
