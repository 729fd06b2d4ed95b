"""Settings that every test shares."""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The machine may be busy: no single example is failed for being slow.
settings.register_profile("project", deadline=None)
# The same examples each time: what is covered is no matter of luck.
settings.register_profile("coverage", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("project")

# Who runs the tests in the background of a shell has Ctrl-C ignored, which every program they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests start hundreds of programs of ours: with this set, each would compile once more all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# What is installed for a test is imported once, and little of it: pip is not to compile it all, which it wants said so.
os.environ["PIP_NO_COMPILE"] = "no"


@pytest.fixture(scope="session", autouse=True)
def _temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test, or a program that it starts and kills, makes and leaves goes at the end of the tests."""
    tmp_path_factory.getbasetemp()  # stays outside: of a test that failed it is kept
    # Not among those of pytest, which are closed to other accounts: nginx works under one, and tests of refusals do.
    with (
        tempfile.TemporaryDirectory(prefix="objectstore-tests-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        Path(folder).chmod(0o711)
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, those that take longest begin: the last ones are waited for alone."""
    if not hasattr(config, "workerinput"):
        return
    sizes = Counter(map(_module, items))
    slow = {_module(item) for item in items if item.get_closest_marker("slow")}
    slow |= {module for module, size in sizes.items() if size > 1000}
    items.sort(key=lambda item: (_module(item) not in slow, -sizes[_module(item)]))


def _module(item: pytest.Item) -> str:
    """What one process runs as a whole: a module, or a class of it."""
    return item.nodeid.rpartition("::")[0]
