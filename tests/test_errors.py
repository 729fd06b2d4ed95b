"""The tree of errors as a whole."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from pathlib import Path

import pytest

import objectstore
from objectstore import errors
from objectstore.errors import ObjectStoreError

SOURCE = Path(objectstore.__file__).parent
# Bases to be caught by; what is raised is one of their leaves.
BASES = {ObjectStoreError, errors.Retryable}


def tree(root: type[ObjectStoreError] = ObjectStoreError) -> list[type[ObjectStoreError]]:
    """All classes of `errors.py`, from the root down."""
    below = [cls for cls in root.__subclasses__() if cls.__module__ == errors.__name__]
    return [root, *(found for cls in below for found in tree(cls))]


EXAMPLES: list[ObjectStoreError] = [
    errors.NotFound("k\n\U0001f600"),
    errors.UploadNotFound("u-1"),
    errors.NotModified("tag"),
    errors.PreconditionFailed("k"),
    errors.AlreadyExists("k"),
    errors.BadRequest("bad"),
    errors.InvalidKey("no key"),
    errors.InvalidCursor(),
    errors.InvalidMetadata("too large"),
    errors.InvalidPart("unknown"),
    errors.InvalidDigest("unreadable"),
    errors.DigestMismatch("md5"),
    errors.IncompleteBody(10, 3),
    errors.InvalidParameter("limit is 1 to 1000"),
    errors.InvalidRange(7),
    errors.TooLarge(5),
    errors.LengthRequired("say how long"),
    errors.MethodNotAllowed("not here", ("GET", "HEAD")),
    errors.Unsupported("cannot list"),
    errors.Unauthenticated(),
    errors.InvalidLink(),
    errors.LinkExpired(),
    errors.Forbidden("needs scope read"),
    errors.RateLimited("slow down", retry_after=2.0),
    errors.Overloaded(),
    errors.RequestTimeout(),
    errors.Unavailable("away"),
    errors.NotReady("store: full", {"store": {"status": "failed"}}),
    errors.StorageFull("full"),
    errors.QuotaExceeded("lab-7/", "bytes", 100, 90),
    errors.Corrupted("short"),
    errors.InternalError("failed"),
    errors.ConfigurationError("HOST is empty"),
]
ids = [type(error).__name__ for error in EXAMPLES]


def test_there_is_an_example_of_every_error() -> None:
    assert {type(error) for error in EXAMPLES} == set(tree()) - BASES


def test_the_tree_drawn_is_the_tree_there_is() -> None:
    drawn = set(re.findall(r"\b[A-Z][a-z]+[A-Z]?\w*", (errors.__doc__ or "").partition("\n\n")[2]))
    assert {cls.__name__ for cls in tree()} <= drawn


@pytest.mark.parametrize("error", EXAMPLES, ids=ids)
def test_an_error_reads_as_its_message(error: ObjectStoreError) -> None:
    assert str(error) == error.message
    assert error.message


@pytest.mark.parametrize("error", EXAMPLES, ids=ids)
def test_an_error_survives_a_pool_of_processes(error: ObjectStoreError) -> None:
    error.add_note("seen in worker 3")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301  our own
        assert type(twin) is type(error)
        assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.NotFound("k"), KeyError),
        (errors.UploadNotFound("u"), KeyError),
        (errors.Unsupported("cannot list"), NotImplementedError),
    ],
)
def test_some_errors_are_those_of_the_language_too(error: ObjectStoreError, builtin: type[Exception]) -> None:
    assert isinstance(error, builtin)


def test_bases_are_never_raised() -> None:
    names = {cls.__name__ for cls in BASES}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                raised = ast.unparse(node.exc.func).rpartition(".")[2]
                assert raised not in names, f"{path}:{node.lineno} raises a base; name what happened"
