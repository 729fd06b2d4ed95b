"""Making and admitting links with a token file and a secret that are real, at times that are passed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from objectstore.auth.links import Link
from objectstore.auth.linksecret import LinkSecret
from objectstore.auth.scopes import Credential, Scope
from objectstore.auth.signing import Links
from objectstore.auth.store import TokenFile, TokenStore
from objectstore.errors import InvalidLink, LinkExpired, Unsupported

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Site:
    """One server process over files that others may share."""

    folder: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.file = TokenFile(self.folder / "tokens.json")
        self.tokens = TokenStore(self.file.path, clock=self.clock)
        self.links = Links(self.tokens, LinkSecret(self.folder / "links.key", clock=self.clock))

    def add(self, name: str, *scopes: Scope, prefix: str = "", ttl: timedelta | None = DAY) -> Credential:
        token = self.file.add(name, scopes=scopes or ("read", "write"), now=NOW, ttl=ttl, prefixes=[prefix])
        self.later(1)
        return self.tokens.authenticate(f"Bearer {token}".encode(), NOW)

    def later(self, seconds: float) -> None:
        self.clock.now += seconds

    def make(self, credential: Credential, key: str = "a") -> str:
        return self.links.make(Link(key=key, method="GET", expires=_at(NOW + SECOND * 60)), credential)

    def allows(self, value: str, key: str = "a", method: str = "GET", now: datetime = NOW) -> str:
        try:
            link, credential = self.links.admit(value, key, method, now)
        except LinkExpired:
            return "expired"
        except InvalidLink:
            return "no"
        assert link.key == key
        return credential.name


def _at(time: datetime) -> int:
    return int(time.timestamp())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_link_bears_the_name_of_its_token(site: Site) -> None:
    value = site.make(site.add("mail"))
    assert site.allows(value) == site.allows(value, method="HEAD") == "mail"
    assert site.allows(value, method="PUT") == site.allows(value, key="b") == "no"


def test_it_expires_to_the_second(site: Site) -> None:
    value = site.make(site.add("mail"))
    assert site.allows(value, now=NOW + 60 * SECOND - timedelta(microseconds=1)) == "mail"
    assert site.allows(value, now=NOW + 60 * SECOND) == "expired"


def test_another_process_on_the_same_files_agrees(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path)
    value = site.make(site.add("mail"))
    assert other.allows(value) == "mail"
    theirs = other.make(other.add("web"))
    site.later(1)
    assert site.allows(theirs) == other.allows(theirs) == "web"


def test_another_server_with_the_same_tokens_does_not(site: Site, tmp_path: Path) -> None:
    value = site.make(site.add("mail"))
    (tmp_path / "elsewhere").mkdir()
    stranger = Site(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "tokens.json").write_bytes((tmp_path / "tokens.json").read_bytes())
    assert stranger.allows(value) == "no"
    stranger.make(stranger.add("own"))
    assert stranger.allows(value) == "no"


def test_it_ends_within_a_second_with_a_deleted_token_and_does_not_come_back_with_its_name(site: Site) -> None:
    value = site.make(site.add("mail"))
    site.file.delete("mail")
    site.later(0.9)
    assert site.allows(value) == "no"
    site.add("mail")
    assert site.allows(value) == "no"


def test_it_ends_with_a_rotated_token(site: Site) -> None:
    value = site.make(site.add("mail"))
    site.file.rotate("mail", now=NOW)
    site.later(0.9)
    assert site.allows(value) == "no"


def test_it_ends_with_the_scope_and_comes_back_with_it(site: Site) -> None:
    value = site.make(site.add("mail"))
    for scopes, allowed in ((["write"], "no"), (["read"], "mail")):
        site.file.refresh("mail", now=NOW, ttl=DAY, scopes=scopes)  # type: ignore[arg-type]
        site.later(0.9)
        assert site.allows(value) == allowed


def test_it_ends_with_the_prefix(site: Site) -> None:
    value = site.make(site.add("mail", prefix="mine/"), key="mine/a")
    assert site.allows(value, key="mine/a") == "mail"
    text = site.file.path.read_text()
    site.file.path.write_text(text.replace('"mine/"', '"other/"'))
    site.later(0.9)
    assert site.allows(value, key="mine/a") == "no"


def test_it_ends_with_the_token_and_lives_again_with_it(site: Site) -> None:
    value = site.make(site.add("mail", ttl=30 * SECOND))
    assert site.allows(value, now=NOW + 29 * SECOND) == "mail"
    assert site.allows(value, now=NOW + 30 * SECOND) == "expired"
    site.file.refresh("mail", now=NOW, ttl=DAY)
    site.later(0.9)
    assert site.allows(value, now=NOW + 30 * SECOND) == "mail"


def test_a_credential_that_is_in_no_token_file_makes_none(site: Site) -> None:
    for mark in ("", "AAAAAAAAAAAAAAAA"):
        stranger = Credential(name="x", scopes=frozenset({"read"}), mark=mark)
        with pytest.raises(Unsupported):
            site.make(stranger)


def test_nothing_is_kept_of_a_link(site: Site, tmp_path: Path) -> None:
    credential = site.add("mail")
    site.make(credential)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    site.make(credential, key="b")
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
