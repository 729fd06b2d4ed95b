"""`objectstore bench`."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated, Final

import typer

from objectstore.cli.connection import Profile, Token, Url, connect_async, located
from objectstore.cli.exits import TERMINATED, Usage, reported
from objectstore.cli.output import Json, Output, Quiet, human_size
from objectstore.cli.workload import Load, Step, measure, room
from objectstore.config.units import parse_size

if TYPE_CHECKING:
    from objectstore.client.place import Place

EXAMPLES: Final = (
    "objectstore bench",
    "objectstore bench --objects 20000 --size 64KiB --connections 64 --large 0",
    "objectstore bench --url https://objects.example.org --json",
)


def bench(
    objects: Annotated[int, typer.Option("--objects", metavar="NUMBER", min=1, help="How many small ones.")] = 2000,
    size: Annotated[str, typer.Option("--size", metavar="SIZE", help="Of each, as in 64KiB.")] = "1KiB",
    connections: Annotated[
        int, typer.Option("--connections", metavar="NUMBER", min=1, max=1000, help="Requests under way at once.")
    ] = 32,
    large: Annotated[
        str, typer.Option("--large", metavar="SIZE", help="Of one large object; 0 to leave it out.")
    ] = "256MiB",
    url: Url = None,
    token: Token = None,
    profile: Profile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a server by using it: put, get, list and delete objects, and move a large one both ways.

    It keeps to a prefix of its own and deletes what it stored, also when it is interrupted. The token has to allow
    reading, writing and deleting. What is measured is the server together with the way to it and this client.
    """
    out = Output(json=json, quiet=quiet)
    with reported(out):
        load = Load(objects=objects, size=_size("--size", size), connections=connections, large=_size("--large", large))
        try:
            asyncio.run(_run(located(url, token, profile), load, out))
        except asyncio.CancelledError:
            raise typer.Exit(TERMINATED) from None


async def _run(place: Place, load: Load, out: Output) -> None:
    measuring = asyncio.current_task()
    assert measuring is not None  # noqa: S101  a coroutine is run by one
    # Told to end, it cleans up like a task that is cancelled: at the next await, and not in the midst of a library.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, measuring.cancel)
    async with connect_async(place, load.connections) as store, room(store) as prefix:
        out.say(f"measuring {place.url} with {load.objects} objects of {human_size(load.size)} under {prefix}")
        if not out.json:
            out.line(f"{'':<10}{'requests':>10}{'':>18}{'p50':>12}{'p99':>12}")
        async for step in measure(store, prefix, load):
            if out.json:
                out.document(_document(step))
            else:
                out.line(_line(step))


def _size(option: str, text: str) -> int:
    try:
        return parse_size(text)
    except ValueError:
        raise Usage(f"{option}: {text!r} is no size; one looks like 64KiB or 1GB") from None


def _line(step: Step) -> str:
    rate = f"{step.rate:,.0f} {step.unit:<6}"
    return f"{step.work:<10}{step.count:>10}{rate:>18}{step.p50 * 1000:>9,.2f} ms{step.p99 * 1000:>9,.2f} ms"


def _document(step: Step) -> dict[str, object]:
    return {
        "work": step.work,
        "requests": step.count,
        "seconds": step.seconds,
        "rate": step.rate,
        "unit": step.unit,
        "p50": step.p50,
        "p99": step.p99,
    }
