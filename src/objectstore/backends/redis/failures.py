"""What Redis and the way to it report, as errors of ours."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from redis import exceptions

from objectstore.errors import ConfigurationError, ObjectStoreError, StorageFull, Unavailable

_REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
# The library takes what arrives for what it expects.
_GARBLED = (ValueError, LookupError, TypeError, AttributeError, OSError)


@contextmanager
def translated(address: str) -> Generator[None]:
    """Errors of one request to the server at `address`."""
    try:
        yield
    except exceptions.RedisError as error:
        raise _translate(error, address) from error
    except _GARBLED as error:
        raise Unavailable(f"Redis at {address} gave an answer that makes no sense", retry_after=1) from error


@contextmanager
def opening(address: str) -> Generator[None]:
    """Errors of the first requests: now, somebody is there who can change what is wrong."""
    try:
        yield
    except exceptions.BusyLoadingError as error:
        raise Unavailable(f"Redis at {address} is still loading its data") from error
    except _REFUSED as error:
        message = f"Redis at {address} refuses user and password of the url, or what they may do: {_words(error)}"
        raise ConfigurationError(message) from error
    except exceptions.InvalidResponse as error:
        raise ConfigurationError(f"what answers at {address} is not Redis: check the url") from error
    except exceptions.RedisError as error:
        raise ConfigurationError(f"Redis cannot be used at {address}: {_words(error)}; check the url") from error
    except _GARBLED as error:
        raise ConfigurationError(f"what answers at {address} makes no sense: check the url") from error


def _translate(error: exceptions.RedisError, address: str) -> ObjectStoreError:
    # Redis names the kind of an error with its first word, which the library takes away where it has a class.
    if isinstance(error, exceptions.OutOfMemoryError) or _words(error).startswith("OOM"):
        return StorageFull(f"Redis at {address} has no memory left (maxmemory)")
    if isinstance(error, exceptions.TimeoutError):
        return Unavailable(f"Redis at {address} did not answer in time")
    if isinstance(error, _REFUSED):
        return Unavailable(f"Redis at {address} does not accept our credentials any more: {_words(error)}")
    if isinstance(error, exceptions.BusyLoadingError):
        return Unavailable(f"Redis at {address} is loading its data", retry_after=1)
    if isinstance(error, exceptions.ConnectionError):
        return Unavailable(f"Redis at {address} is away: {_words(error)}")
    if isinstance(error, exceptions.InvalidResponse):
        return Unavailable(f"what answers at {address} is not Redis")
    # READONLY, MISCONF, MASTERDOWN, NOREPLICAS, BUSY and their like: states of the server, not faults of a request.
    return Unavailable(f"Redis at {address} refuses: {_words(error)}")


def _words(error: exceptions.RedisError) -> str:
    return str(error) or type(error).__name__
