"""Programs that scientists use, over the file system, and its pages: one module, since they take seconds to import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask.array
import dask.dataframe
import duckdb
import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr
import zarr
from zarr.core.sync import sync

from objectstore import zarr as zarr_module
from objectstore.fsspec import ObjectStoreFileSystem
from objectstore.testing import ObjectStoreServer, serve
from pages import DOCS, run_against, run_in_order, snippets

TABLE = pd.DataFrame({"station": ["north", "south"] * 500, "depth": np.arange(1000), "t": np.arange(1000) / 7})


@pytest.fixture
def url(server: ObjectStoreServer, base: str) -> str:
    return f"objectstore://{server.url.removeprefix('http://')}/{base}"


@pytest.fixture
def options(server: ObjectStoreServer) -> dict[str, Any]:
    return {"token": server.token}


def test_pandas_reads_and_writes_csv(url: str, options: dict[str, Any]) -> None:
    for name in ("a.csv", "a.csv.gz"):
        TABLE.to_csv(f"{url}/{name}", index=False, storage_options=options)
        pd.testing.assert_frame_equal(pd.read_csv(f"{url}/{name}", storage_options=options), TABLE)


def test_pandas_reads_and_writes_parquet(url: str, options: dict[str, Any]) -> None:
    TABLE.to_parquet(f"{url}/a.parquet", storage_options=options)
    pd.testing.assert_frame_equal(pd.read_parquet(f"{url}/a.parquet", storage_options=options), TABLE)
    some = pd.read_parquet(f"{url}/a.parquet", columns=["t"], storage_options=options)
    pd.testing.assert_frame_equal(some, TABLE[["t"]])
    TABLE.to_parquet(f"{url}/parts", partition_cols=["station"], storage_options=options)
    south = pd.read_parquet(f"{url}/parts", filters=[("station", "==", "south")], storage_options=options)
    assert south["depth"].tolist() == list(range(1, 1000, 2))


class _Unwritable:
    def __str__(self) -> str:
        raise ArithmeticError


def test_a_table_that_is_not_written_to_its_end_is_not_there(
    url: str, options: dict[str, Any], fs: ObjectStoreFileSystem, base: str
) -> None:
    bad = pd.DataFrame({"a": [*["x" * 100] * 100_000, _Unwritable()]})
    with pytest.raises(ArithmeticError):
        bad.to_csv(f"{url}/a.csv", storage_options=options, chunksize=1000)
    schema, batch = pa.schema([]), pa.Table.from_pandas(TABLE).to_batches()[0]
    with pytest.raises(ValueError, match="schema"), pq.ParquetWriter(f"{base}/a", schema, filesystem=fs) as writer:
        writer.write_batch(batch)
    assert fs.find(base) == []


def test_pyarrow_reads_a_dataset(fs: ObjectStoreFileSystem, base: str) -> None:
    for number in range(3):
        with fs.open(f"{base}/set/{number}.parquet", "wb") as file:
            TABLE.to_parquet(file)
    assert pq.read_table(f"{base}/set", filesystem=fs).num_rows == 3000


def test_xarray_writes_appends_and_reads_zarr(url: str, options: dict[str, Any], server: ObjectStoreServer) -> None:
    def days(start: int) -> xr.Dataset:
        values = np.arange(start * 20, (start + 5) * 20, dtype="float32").reshape(5, 20)
        return xr.Dataset({"t": (("day", "x"), values)}, {"day": np.arange(start, start + 5), "x": np.arange(20)})

    days(0).to_zarr(f"{url}/z", storage_options=options, mode="w", zarr_format=3, consolidated=False)
    days(5).to_zarr(f"{url}/z", storage_options=options, append_dim="day", consolidated=False)
    whole = xr.concat([days(0), days(5)], dim="day")
    xr.testing.assert_identical(
        xr.open_zarr(f"{url}/z", storage_options=options, consolidated=False, chunks=None).load(), whole
    )
    # Consolidated metadata of format 3 is not in its specification yet, and zarr says so.
    with pytest.warns(zarr.errors.ZarrUserWarning, match="Consolidated metadata"):
        zarr.consolidate_metadata(zarr.storage.FsspecStore.from_url(f"{url}/z", storage_options=options))
    server.forget_requests()
    opened = xr.open_zarr(f"{url}/z", storage_options=options, consolidated=True, chunks=None)
    assert len(server.requests) <= 8
    xr.testing.assert_identical(opened.load(), whole)
    lazy = xr.open_zarr(f"{url}/z", storage_options=options, consolidated=True, chunks={})
    assert float(lazy["t"].sum().compute(scheduler="threads")) == float(whole["t"].sum())


# Dask calls pandas in a way that this version of pandas has begun to discourage.
@pytest.mark.filterwarnings("ignore:The inplace keyword:pandas.errors.Pandas4Warning")
def test_dask_reads_and_writes_in_parallel(url: str, options: dict[str, Any]) -> None:
    frame: Any = dask.dataframe.from_pandas(TABLE, npartitions=4)  # type: ignore[no-untyped-call]
    frame.to_parquet(f"{url}/table", storage_options=options)
    again = dask.dataframe.read_parquet(f"{url}/table", storage_options=options)
    assert int(again["depth"].sum().compute(scheduler="threads")) == int(TABLE["depth"].sum())
    frame.to_csv(f"{url}/csv/*.csv", storage_options=options, index=False)
    assert len(dask.dataframe.read_csv(f"{url}/csv/*.csv", storage_options=options)) == 1000
    array = dask.array.arange(10_000, chunks=1000)
    array.to_zarr(f"{url}/array", storage_options=options, zarr_format=3)
    read: Any = dask.array.from_zarr(f"{url}/array", storage_options=options)  # type: ignore[no-untyped-call]
    assert int(read.sum().compute(scheduler="threads")) == 49_995_000


def test_duckdb_queries_files(url: str, options: dict[str, Any], fs: ObjectStoreFileSystem) -> None:
    TABLE.to_parquet(f"{url}/a.parquet", storage_options=options)
    with duckdb.connect() as database:
        database.register_filesystem(fs)
        sums = database.read_parquet(f"{url}/*.parquet").aggregate("station, sum(depth)").order("station")
        assert sums.fetchall() == [("north", 249_500), ("south", 250_000)]
        database.sql("SELECT 42 AS answer").write_csv(f"{url}/out.csv")
        assert database.read_csv(f"{url}/out.csv").fetchall() == [(42,)]


def test_a_local_cache_notices_a_new_version(url: str, options: dict[str, Any], tmp_path: Any) -> None:
    def read() -> bytes:
        with fsspec.open(
            f"filecache::{url}/a", objectstore=options, filecache={"cache_storage": str(tmp_path), "check_files": True}
        ) as file:
            data: bytes = file.read()
            return data

    for data in (b"one", b"another"):
        with fsspec.open(f"{url}/a", "wb", **options) as file:
            file.write(data)
        assert read() == data
        assert read() == data


@contextmanager
def serving() -> Iterator[ObjectStoreServer]:
    """A server for a page, whose examples leave their connections open."""
    with serve() as server:
        yield server
        for instance in list(ObjectStoreFileSystem._cache.values()):
            if instance.url == server.url:
                # Those that zarr made live in its loop.
                sync(instance._close()) if instance.asynchronous else instance.close()
        for client, blocking in zarr_module._CLIENTS.values():
            sync(client.aclose())
            blocking.close()
        zarr_module._CLIENTS.clear()


# Consolidated metadata of format 3 is not in its specification yet, as the page says.
@pytest.mark.filterwarnings("ignore:Consolidated metadata:zarr.errors.ZarrUserWarning")
@pytest.mark.parametrize(("name", "told"), [("fsspec.md", "All is well."), ("zarr.md", "['grid']")])
def test_every_block_runs(name: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as server:
        run_against(server.url, server.token, DOCS / name)
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pandas.md", ["672 hours, highest", "('north', 1)", "tides/clean/station=north/month=1", "bytes clean"]),
        ("zarr.md", ["{'day': 5, 'y': 50, 'x': 80}", "point: (5,)", "written: True", "mask: 10000"]),
    ],
)
def test_a_page_of_the_cookbook_runs(
    name: str, told: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as server:
        monkeypatch.setenv("OBJECTSTORE_URL", server.url)
        monkeypatch.setenv("OBJECTSTORE_TOKEN", server.token)
        assert list(run_in_order(snippets(DOCS / "cookbook" / name, "python")))
    printed = capsys.readouterr().out
    for words in told:
        assert words in printed, printed
