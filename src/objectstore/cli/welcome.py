"""What `serve` prints for the person who started it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from objectstore.cli.output import PROGRAM

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  compared, not bound


def url_of(host: str, port: int, *, secure: bool) -> str:
    """Where a server that listens there is found from this machine."""
    host = _EVERYWHERE.get(host, f"[{host}]" if ":" in host else host)
    return f"{'https' if secure else 'http'}://{host}:{port}"


def first_steps(url: str, token: str, certificate: Path | None) -> Iterator[str]:
    """The token, this once, and lines that use it and work as they stand."""
    trusted = None if certificate is None else str(certificate.absolute())
    trust = "" if trusted is None else f"--cacert {shlex.quote(trusted)} "
    yield f"token: {token}"
    yield ""
    yield "It allows everything, stays valid until it is deleted, and is not shown again. With curl:"
    yield ""
    yield f"echo 'Hello, World!' | curl {trust}-H 'Authorization: Bearer {token}' -T - {url}/objects/hello"
    yield ""
    yield f"From Python ({sys.executable}):"
    yield ""
    if trusted is not None:
        yield f"import os; os.environ['SSL_CERT_FILE'] = {trusted!r}"
    yield "from objectstore import RestStore"
    yield f"store = RestStore.create({url!r}, {token!r})"
    yield "store.put('hello', b'Hello, World!')"
    yield "print(store.get('hello').decode())"
    yield "store.close()"
    yield ""
    yield "On the command line:"
    yield ""
    if trusted is not None:
        yield f"export SSL_CERT_FILE={shlex.quote(trusted)}"
    yield f"export OBJECTSTORE_URL={url} OBJECTSTORE_TOKEN={token}"
    yield f"{_program()} ls -l"
    yield ""


def more_tokens(tokens: Path) -> Iterator[str]:
    """Where the tokens are kept, for a start at which there are some."""
    yield f"tokens: kept in {tokens}; another one comes from"
    yield f"  {_program()} token add NAME --ttl DAYS --scope read --file {shlex.quote(str(tokens))}"


def _program() -> str:
    if shutil.which(PROGRAM) is not None:
        return PROGRAM
    script = Path(sys.executable).with_name(PROGRAM)
    return shlex.quote(str(script)) if script.exists() else f"{shlex.quote(sys.executable)} -m {PROGRAM}"
