"""What HTTP libraries and foreign servers report, as errors of ours."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx2

from objectstore.errors import (
    Forbidden,
    InternalError,
    NotFound,
    ObjectStoreError,
    RateLimited,
    Unavailable,
    Unsupported,
)
from objectstore.wire.errors import parse_retry_after


@contextmanager
def translated(host: str) -> Generator[None]:
    """Errors of a request to `host`, and of what redirects lead to."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise Unavailable(f"{host} did not answer in time") from error
    except httpx2.TooManyRedirects as error:
        raise Unsupported(f"{host} redirects without end") from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise Unsupported(f"{host} leads to an address that is no http(s) URL") from error
    except httpx2.ConnectError as error:
        raise Unavailable(f"cannot connect to {host}: {error}") from error
    except httpx2.RequestError as error:
        # A body that is cut short is among them.
        raise Unavailable(f"the connection to {host} broke: {str(error) or type(error).__name__}") from error


def error_of(response: httpx2.Response, key: str) -> ObjectStoreError:
    """What a status from 300 on says of a request for the object `key`. 304, 412 and 416 are not among them."""
    status, host = response.status_code, response.url.host
    match status:
        case 404 | 410:
            return NotFound(key)
        case 401 | 403 | 407:
            return Forbidden(f"{host} does not give out {key!r}: it answered {status}")
        case 429:
            return RateLimited(f"{host} limits requests: it answered 429", retry_after=_retry_after(response))
        case 408 | 500 | 502 | 503 | 504:
            return Unavailable(f"{host} answered {status}", retry_after=_retry_after(response))
        case _ if status < 400:
            return Unsupported(f"{host} redirects {key!r} elsewhere, and redirects are not followed")
        case _:
            return InternalError(f"{host} answered {status}, which says nothing of an object")


def _retry_after(response: httpx2.Response) -> float | None:
    value = response.headers.get("retry-after")
    return None if value is None else parse_retry_after(value.encode("latin-1"), datetime.now(UTC))
