"""Every Python block of the documentation of file systems and arrays runs, one after the other."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from zarr.core.sync import sync

from objectstore import zarr as zarr_module
from objectstore.fsspec import ObjectStoreFileSystem
from objectstore.testing import serve

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


# Consolidated metadata of format 3 is not in its specification yet, as the page says.
@pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")
@pytest.mark.parametrize(("name", "told"), [("fsspec.md", "All is well."), ("zarr.md", "['grid']")])
def test_every_block_runs(name: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    with serve() as server:
        for block in BLOCK.findall((DOCS / name).read_text()):
            code = block.replace("localhost:8000", server.url.removeprefix("http://"))
            code = code.replace("your-api-key", server.token)
            exec(compile(code, name, "exec"), names)  # noqa: S102  our own documentation
        for instance in list(ObjectStoreFileSystem._cache.values()):
            if instance.url == server.url:
                # Those that zarr made live in its loop.
                sync(instance._close()) if instance.asynchronous else instance.close()
        for client, blocking in zarr_module._CLIENTS.values():
            sync(client.aclose())
            blocking.close()
        zarr_module._CLIENTS.clear()
    assert told in capsys.readouterr().out


def test_every_option_is_told_of() -> None:
    text = (DOCS / "fsspec.md").read_text()
    for option in inspect.signature(ObjectStoreFileSystem.__init__).parameters:
        if option not in {"self", "loop", "options"}:
            assert f"`{option}`" in text, option
