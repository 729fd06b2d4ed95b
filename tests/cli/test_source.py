from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from objectstore.cli.exits import Usage
from objectstore.cli.progress import Meter
from objectstore.cli.source import CountedFile, opened, size_of
from objectstore.client.transfers.kinds import guess_content_type


@pytest.mark.parametrize(
    ("names", "content_type"),
    [
        (("report.pdf", "x"), "application/pdf"),
        (("", "notes/today.txt"), "text/plain"),
        (("photos.tar.gz", "x"), "application/gzip"),  # and not a tar that readers are to unpack
        (("README", "x"), None),
    ],
)
def test_the_name_tells_the_content_type(names: tuple[str, ...], content_type: str | None) -> None:
    assert guess_content_type(*names) == content_type


def test_bytes_are_counted_as_they_are_read_and_read_again() -> None:
    meter = Meter()
    file = CountedFile(cast("BinaryIO", io.BytesIO(b"0123456789")), meter)
    assert file.read(4) == b"0123"
    assert meter.done == 4
    file.seek(0)
    assert meter.done == 0
    assert file.read() == b"0123456789"
    assert meter.done == 10


def test_counting_starts_where_the_file_stands() -> None:
    meter, inner = Meter(), io.BytesIO(b"0123456789")
    inner.seek(6)
    file = CountedFile(cast("BinaryIO", inner), meter)
    assert file.read() == b"6789"
    file.seek(6)
    assert (meter.done, file.tell()) == (0, 6)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="folder"), opened(str(tmp_path)):
        pass


def test_a_regular_file_tells_what_is_left_of_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with opened(str(path)) as file:
        file.seek(3)
        assert size_of(file) == 7


def test_a_pipe_tells_no_size() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        assert size_of(file) is None
