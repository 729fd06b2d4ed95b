"""`objectstore serve`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from objectstore.auth.scopes import SCOPES
from objectstore.auth.store import TokenFile
from objectstore.auth.tokens import UNBOUNDED
from objectstore.cli.exits import FAILED, Usage, reported
from objectstore.cli.forking import apart
from objectstore.cli.launch import DEFAULT_SERVER, Launch, ServerName, Tls, bind, check_tls, run
from objectstore.cli.output import Output
from objectstore.cli.tallies import shared_tallies
from objectstore.cli.welcome import first_steps, more_tokens, url_of
from objectstore.values import Capabilities

EXAMPLES: Final = (
    "objectstore serve",
    "objectstore serve --data /srv/objects --host 0.0.0.0 --port 80 --workers 4",
    "objectstore serve --tls-cert cert.pem --tls-key key.pem",
    "objectstore serve --config storage.yaml --store archive",
)
DEFAULT_DATA: Final = "objectstore-data"
_TOKENS: Final = "tokens.json"
_FIRST: Final = "first"  # the name of the token that allows the first steps


def _variable(name: str) -> str:
    # Settings read it, not the option parser; it is shown as if. The backslash keeps it from being markup.
    return f"\\[env var: {name}]"


def serve(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            show_default=f"{DEFAULT_DATA}, unless STORAGE_CONFIG describes a store",
            help="Where the objects are kept. " + _variable("DATA_DIR"),
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            show_default=False,
            help="A storage.yaml that says where the objects are kept, instead. " + _variable("STORAGE_CONFIG"),
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="NAME",
            show_default="its main one",
            help="Which store of the storage.yaml to serve. " + _variable("STORAGE_NAME"),
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            show_default="127.0.0.1",
            help="Where to listen; 0.0.0.0 is everywhere. " + _variable("HOST"),
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65535,
            show_default="8000",
            help="Where to listen; 0 is any free one. " + _variable("PORT"),
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", metavar="NUMBER", min=1, show_default="1", help="How many processes. " + _variable("WORKERS")
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens",
            metavar="FILE",
            show_default=f"{_TOKENS} in the data folder",
            help="Who may do what. " + _variable("AUTH_TOKENS_FILE"),
        ),
    ] = None,
    rate_limit: Annotated[
        str | None,
        typer.Option(
            "--rate-limit",
            metavar="RATE",
            show_default="none",
            help='What each token may, as in "100/second;5000/minute". ' + _variable("RATE_LIMIT"),
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Serve https, with this certificate (PEM).")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="The key of the certificate (PEM).")
    ] = None,
    server: Annotated[ServerName, typer.Option("--server", help="What runs the application.")] = DEFAULT_SERVER,
    log_level: Annotated[
        str | None,
        typer.Option(
            "--log-level",
            metavar="LEVEL",
            show_default="info",
            help="debug, info, warning or error. " + _variable("LOG_LEVEL"),
        ),
    ] = None,
) -> None:
    """Run a server that keeps objects in a folder.

    The first start makes a token and shows it once. SIGTERM and Ctrl-C end the server when it has finished what
    is under way.
    """
    with reported(Output()):
        if (tls_cert is None) != (tls_key is None):
            raise Usage("--tls-cert and --tls-key are given together")
        if data is not None and (config is not None or store is not None):
            raise Usage("--data is a folder for objects, --config and --store name another store: give one of them")
        if store is not None and config is None and not os.environ.get("STORAGE_CONFIG"):
            raise Usage("--store is the name of a store in a storage.yaml: give the file, too, with --config FILE")
        set_environment(
            {
                "DATA_DIR": data,
                "STORAGE_CONFIG": config,
                "STORAGE_NAME": store,
                "HOST": host,
                "PORT": port,
                "WORKERS": workers,
                "AUTH_TOKENS_FILE": tokens,
                "LOG_LEVEL": log_level,
                "RATE_LIMIT": rate_limit,
            }
        )
        tls = None if tls_cert is None or tls_key is None else Tls(certificate=tls_cert, key=tls_key)
        if not _serve(server, tls):
            raise typer.Exit(FAILED)


def set_environment(given: Mapping[str, object]) -> None:
    """Make the environment say what the worker processes are to read from it; options win over what it said."""
    for name, value in given.items():
        if value is not None:
            os.environ[name] = str(value)
    if given["DATA_DIR"] is not None:
        # A folder named on the command line is meant instead of a store described elsewhere.
        os.environ.pop("STORAGE_CONFIG", None)
        os.environ.pop("STORAGE_NAME", None)
    elif given.get("STORAGE_CONFIG") is not None:
        # And the other way round.
        os.environ.pop("DATA_DIR", None)
    elif not os.environ.get("STORAGE_CONFIG") and not os.environ.get("DATA_DIR"):
        os.environ["DATA_DIR"] = DEFAULT_DATA
    folder = os.environ.get("DATA_DIR")
    if folder and not os.environ.get("AUTH_TOKENS_FILE"):
        # Beside the data, so that two stores do not share tokens, and one keeps them wherever it is started.
        os.environ["AUTH_TOKENS_FILE"] = str(Path(folder, _TOKENS))


def _serve(server: ServerName, tls: Tls | None) -> bool:
    from objectstore.config.build import open_backend
    from objectstore.config.settings import load_settings
    from objectstore.server import assembly  # noqa: F401  once for all workers, which are copies of this process
    from objectstore.server.limits import limiter_of
    from objectstore.server.quotas import check_kept

    async def check_store() -> Capabilities:
        async with open_backend(settings) as backend:
            return backend.capabilities

    settings = load_settings()
    if settings.data_dir is not None:
        import objectstore.backends.engine.backend  # noqa: F401  importing it is the point
    limiter_of(settings)  # which says what is wrong with it: here, and not again and again in each worker
    if tls is not None:
        check_tls(tls)
    capabilities = apart(lambda: asyncio.run(check_store()))
    tokens = TokenFile(settings.auth_tokens_file.absolute())
    check_kept(capabilities, [record.name for record in tokens.read().records if record.quota != UNBOUNDED])
    place = bind(settings.host, settings.port)
    with place.socket:
        url = url_of(settings.host, place.port, secure=tls is not None)
        if tokens.path.exists():
            _show(more_tokens(tokens.path))
        else:
            token = tokens.add(_FIRST, scopes=SCOPES, now=datetime.now(UTC), ttl=None)
            _show(first_steps(url, token, None if tls is None else tls.certificate))
        launch = Launch(
            place=place,
            workers=settings.workers,
            log_level=settings.log_level,
            log_format=settings.log_format,
            shutdown_timeout=max(1, settings.shutdown_timeout),  # for both servers, 0 means something else
            idle_timeout=settings.idle_timeout,
            tls=tls,
        )
        with shared_tallies():
            return run(server, launch, on_ready=lambda: _show([f"serving {url}"]))


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)
    sys.stdout.flush()
