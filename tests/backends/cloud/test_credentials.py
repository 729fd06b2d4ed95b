"""Credentials are found where the tools of AWS find theirs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, Final

import pytest

from objectstore.backends.cloud.credentials import Finder, Lent, of_environment, of_profile
from objectstore.core.sigv4 import Credentials
from objectstore.errors import ConfigurationError, Unavailable

LENT: Final = {"AccessKeyId": "access", "SecretAccessKey": "secret", "Token": "token"}
ROLE: Final = "/latest/meta-data/iam/security-credentials/"
SESSION: Final = Credentials("access", "secret", "token")


class _Lender(BaseHTTPRequestHandler):
    """What a machine's or container's role is asked of; it counts."""

    expiration: ClassVar[str] = "2999-01-01T00:00:00Z"
    asked: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        self._say(b"the-session")

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == ROLE:
            self._say(b"the-role" if self.headers["X-aws-ec2-metadata-token"] == "the-session" else b"nobody")
        elif self.path in {ROLE + "the-role", "/container"}:
            self._say(json.dumps(LENT | {"Expiration": self.expiration}).encode())
        else:
            self._say(b"<html>who is there?</html>")

    def do_POST(self) -> None:
        entries = "".join(f"<{name}>{value}</{name}>" for name, value in _sts().items())
        answer = f"<AssumeRoleWithWebIdentityResponse><R><Credentials>{entries}</Credentials></R>"
        self._say(f"{answer}</AssumeRoleWithWebIdentityResponse>".encode())

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name of the method it overrides
        pass


def _sts() -> Mapping[str, str]:
    names = {"Token": "SessionToken"}
    return {names.get(name, name): value for name, value in LENT.items()} | {"Expiration": "2999-01-01T00:00:00Z"}


@pytest.fixture
def lender(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(_Lender, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), _Lender) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _alone(folder: Path, **environment: str) -> dict[str, str]:
    """An environment in which nothing of this machine is found."""
    files = {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"), "AWS_CONFIG_FILE": str(folder / "config")}
    return files | environment


def _found(environment: Mapping[str, str], machine: str = "http://127.0.0.1:1") -> Credentials:
    return asyncio.run(Finder(environment, machine=machine)()).credentials


def test_the_environment_comes_first(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id=other\naws_secret_access_key=other\n")
    told = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert _found(_alone(tmp_path, **told)) == Credentials("access", "secret")
    assert of_environment(told | {"AWS_SESSION_TOKEN": "token"}) == SESSION
    assert of_environment({"AWS_ACCESS_KEY_ID": "access"}) is None


def test_a_profile_is_read_from_either_file(tmp_path: Path) -> None:
    keys = "aws_access_key_id = access\naws_secret_access_key = secret\n"
    (tmp_path / "credentials").write_text(f"[default]\n{keys}aws_session_token = token\n")
    (tmp_path / "config").write_text(f"[default]\nregion = x\n[profile work]\n{keys}")
    assert _found(_alone(tmp_path)) == SESSION
    assert _found(_alone(tmp_path, AWS_PROFILE="work")) == Credentials("access", "secret")


def test_a_profile_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'missing'"):
        of_profile(_alone(tmp_path, AWS_PROFILE="missing"))
    (tmp_path / "credentials").write_text("no section\n")
    with pytest.raises(ConfigurationError, match="credentials"):
        of_profile(_alone(tmp_path))


def test_the_role_of_the_machine_is_asked_once(tmp_path: Path, lender: str) -> None:
    async def scenario() -> None:
        finder = Finder(_alone(tmp_path), machine=lender)
        lent: list[Lent] = await asyncio.gather(*(finder() for _ in range(5)))
        assert {one.credentials for one in lent} == {SESSION}

    asyncio.run(scenario())
    assert _Lender.asked == [ROLE, ROLE + "the-role"]


def test_credentials_about_to_expire_are_fetched_anew(
    tmp_path: Path, lender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Lender, "expiration", "2001-01-01T00:00:00Z")

    async def scenario() -> None:
        finder = Finder(_alone(tmp_path), machine=lender)
        await finder()
        await finder()

    asyncio.run(scenario())
    assert _Lender.asked == [ROLE, ROLE + "the-role"] * 2


def test_the_role_of_a_container_comes_before_that_of_the_machine(tmp_path: Path, lender: str) -> None:
    assert _found(_alone(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{lender}/container"), lender) == SESSION
    assert _Lender.asked == ["/container"]


def test_a_web_identity_is_exchanged(tmp_path: Path, lender: str) -> None:
    (tmp_path / "identity").write_text("who I am\n")
    told = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "identity"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}
    assert _found(_alone(tmp_path, AWS_ENDPOINT_URL_STS=lender, **told)) == SESSION


def test_where_there_are_none_the_message_says_what_to_set(tmp_path: Path) -> None:
    for environment in (_alone(tmp_path), _alone(tmp_path, AWS_EC2_METADATA_DISABLED="true")):
        with pytest.raises(ConfigurationError, match="s3_access_key"):
            _found(environment)


def test_a_lender_that_talks_nonsense_is_unavailable(tmp_path: Path, lender: str) -> None:
    with pytest.raises(Unavailable):
        _found(_alone(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{lender}/nonsense"))
