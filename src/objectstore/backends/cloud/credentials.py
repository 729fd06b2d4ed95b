"""Whose credentials a bucket is asked with, found where the tools of AWS find theirs.

In this order: the environment, a profile of the shared files, a web identity (as Kubernetes gives it), the role of
the container, the role of the machine. Those that expire are fetched anew some minutes before.
"""

from __future__ import annotations

import asyncio
import configparser
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode, urlsplit

import httpx2

from objectstore.backends.cloud import answers
from objectstore.core.sigv4 import Credentials
from objectstore.errors import ConfigurationError, Unavailable

_EARLY: Final = timedelta(minutes=5)
_TIMEOUT: Final = 2.0  # seconds; where there is no role, there is nobody who would answer
_CONTAINER: Final = "http://169.254.170.2"
_MACHINE: Final = "http://169.254.169.254"
_NOBODY: Final = (
    "no credentials for S3: set s3_access_key and s3_secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "or a profile (AWS_PROFILE), or run where there is an instance role"
)


@dataclass(frozen=True, slots=True)
class Lent:
    """Credentials, and until when they are good."""

    credentials: Credentials
    until: datetime | None = None


Identify: TypeAlias = Callable[[], Awaitable[Lent]]


class Finder:
    """Finds credentials and keeps them as long as they are good; called many times, it asks once."""

    def __init__(self, environment: Mapping[str, str] = os.environ, *, machine: str = _MACHINE) -> None:
        self._environment = environment
        self._machine = machine
        self._lent: Lent | None = None
        self._asking = asyncio.Lock()

    async def __call__(self) -> Lent:
        """Raises ConfigurationError: there are none. Unavailable: whoever gives them does not answer."""
        async with self._asking:
            if self._lent is None or (self._lent.until and datetime.now(UTC) > self._lent.until - _EARLY):
                self._lent = await self._find()
            return self._lent

    async def _find(self) -> Lent:
        at_hand = of_environment(self._environment) or await asyncio.to_thread(of_profile, self._environment)
        if at_hand is not None:
            return Lent(at_hand)
        for source in (self._of_web_identity, self._of_container, self._of_machine):
            lent = await _answer(source)
            if lent is not None:
                return lent
        raise ConfigurationError(_NOBODY)

    async def _of_web_identity(self) -> Lent | None:
        file, role = (self._environment.get(f"AWS_{name}") for name in ("WEB_IDENTITY_TOKEN_FILE", "ROLE_ARN"))
        if not file or not role:
            return None
        token = await asyncio.to_thread(Path(file).read_text)
        region = self._environment.get("AWS_REGION") or self._environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        endpoint = self._environment.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.amazonaws.com"
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": self._environment.get("AWS_ROLE_SESSION_NAME") or "objectstore",
            "WebIdentityToken": token.strip(),
        }
        body = await _fetch("POST", f"{endpoint}/?{urlencode(form)}")
        found = answers.parse(body, "AssumeRoleWithWebIdentityResponse").find(".//Credentials")
        if found is None:
            raise answers.Garbled("it has no Credentials")
        given = (answers.text(found, name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
        return Lent(Credentials(*given), _time(answers.text(found, "Expiration")))

    async def _of_container(self) -> Lent | None:
        full = self._environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        relative = self._environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        if not full and not relative:
            return None
        token = self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        file = self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        if file:
            token = (await asyncio.to_thread(Path(file).read_text)).strip()
        headers = {"Authorization": token} if token else {}
        return _lent(await _fetch("GET", full or _CONTAINER + (relative or ""), headers))

    async def _of_machine(self) -> Lent | None:
        if self._environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            return None
        with suppress(httpx2.TransportError):
            asked = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
            token = {
                "X-aws-ec2-metadata-token": (await _fetch("PUT", f"{self._machine}/latest/api/token", asked)).decode()
            }
            roles = f"{self._machine}/latest/meta-data/iam/security-credentials/"
            role = (await _fetch("GET", roles, token)).decode().split("\n")[0]
            return _lent(await _fetch("GET", roles + role, token))
        return None


def given(credentials: Credentials) -> Identify:
    """Those of the configuration."""

    async def identify() -> Lent:
        return Lent(credentials)

    return identify


def of_environment(environment: Mapping[str, str]) -> Credentials | None:
    access, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if not access or not secret:
        return None
    return Credentials(access, secret, environment.get("AWS_SESSION_TOKEN") or None)


def of_profile(environment: Mapping[str, str]) -> Credentials | None:
    """Those of the profile that AWS_PROFILE names (else `default`), in the shared files.

    Raises:
        ConfigurationError: a profile is named, and has none.
    """
    profile = environment.get("AWS_PROFILE") or "default"
    files = (
        (environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials", profile),
        (
            environment.get("AWS_CONFIG_FILE") or "~/.aws/config",
            profile if profile == "default" else f"profile {profile}",
        ),
    )
    for file, section in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(Path(file).expanduser(), encoding="utf-8")
        except configparser.Error as error:
            raise ConfigurationError(f"{file} cannot be read as a file of profiles") from error
        if parser.has_option(section, "aws_access_key_id") and parser.has_option(section, "aws_secret_access_key"):
            return Credentials(
                parser.get(section, "aws_access_key_id"),
                parser.get(section, "aws_secret_access_key"),
                parser.get(section, "aws_session_token", fallback=None),
            )
    if environment.get("AWS_PROFILE"):
        raise ConfigurationError(f"the profile {profile!r} (AWS_PROFILE) has no access key of its own")
    return None


async def _answer(source: Callable[[], Awaitable[Lent | None]]) -> Lent | None:
    try:
        return await source()
    except (httpx2.HTTPError, OSError, answers.Garbled, ValueError, KeyError) as error:
        raise Unavailable(f"the credentials of this machine cannot be had: {type(error).__name__}") from error


async def _fetch(method: str, url: str, headers: Mapping[str, str] | None = None) -> bytes:
    # Roles are asked for on addresses of this machine or its network, never by way of a proxy.
    direct = urlsplit(url).scheme == "http"
    async with httpx2.AsyncClient(timeout=_TIMEOUT, trust_env=not direct) as client:
        response = await client.request(method, url, headers=dict(headers or {}))
        response.raise_for_status()
        return response.content


def _lent(body: bytes) -> Lent:
    told: Any = json.loads(body)
    credentials = Credentials(told["AccessKeyId"], told["SecretAccessKey"], told.get("Token"))
    until = told.get("Expiration")
    return Lent(credentials, None if until is None else _time(until))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
