"""Folders and many objects at once, of both clients, against a real server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from client.both import Both
from objectstore import ONLY_IF_ABSENT, AlreadyExists, InvalidKey, NotFound, ObjectStoreError
from objectstore.client.transfers.jobs import Download, Ended, Event, Job, Moved, Started, Upload
from objectstore.client.transfers.names import clashes, key_of, path_of


@pytest.fixture(autouse=True)
def notes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files, and what is none."""
    root = tmp_path / "folder"
    (root / "a" / "b").mkdir(parents=True)
    (root / "empty").mkdir()
    for name in ("one.txt", "a/two.csv", "a/b/three ü", "a/b/.hidden"):
        (root / name).write_text(name)
    return root


NAMES = ["a/b/.hidden", "a/b/three ü", "a/two.csv", "one.txt"]


def test_a_folder_goes_up_and_comes_down(store: Both, base: str, folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    report = store.upload_dir(folder, base, progress=lambda *one: told.append(one))
    total = sum(len(name.encode()) for name in NAMES)
    assert sorted(report.done) == [f"{base}{name}" for name in NAMES]
    assert not report.failed
    assert not report.ignored
    assert told[-1] == (total, total)
    assert store.head(f"{base}a/two.csv").attributes.content_type == "text/csv"
    back = tmp_path / "new" / "back"
    report = store.download_dir(base, back, progress=lambda *one: told.append(one))
    assert sorted(report.done) == [f"{base}{name}" for name in NAMES]
    assert told[-1] == (total, total)
    assert {path.relative_to(back).as_posix(): path.read_text() for path in back.rglob("*") if path.is_file()} == {
        name: name for name in NAMES
    }


def test_what_is_the_same_is_skipped(store: Both, base: str, folder: Path, tmp_path: Path) -> None:
    store.upload_dir(folder, base)
    (folder / "one.txt").write_text("ONE.txt")
    report = store.upload_dir(folder, base, skip_same=True)
    assert list(report.done) == [f"{base}one.txt"]
    assert sorted(report.skipped) == [f"{base}{name}" for name in NAMES[:-1]]
    assert store.get(f"{base}one.txt") == b"ONE.txt"
    back = tmp_path / "back"
    store.download_dir(base, back)
    (back / "one.txt").write_text("one.TXT")
    report = store.download_dir(base, back, skip_same=True)
    assert (list(report.done), len(report.skipped)) == ([f"{base}one.txt"], 3)
    assert (back / "one.txt").read_text() == "ONE.txt"


def test_links_that_lead_out_and_what_is_no_file_are_left_alone(
    store: Both, base: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder)
    (folder / "broken").symlink_to("nowhere")
    (folder / "inside").symlink_to("one.txt")
    os.mkfifo(folder / "pipe")
    report = store.upload_dir(folder, base)
    assert sorted(report.done) == [f"{base}{name}" for name in sorted([*NAMES, "inside"])]
    assert sorted(report.ignored) == ["broken", "loop", "out", "pipe", "up"]
    assert "out of the folder" in report.ignored["out"]
    assert store.get(f"{base}inside") == b"one.txt"


def test_a_file_that_fails_does_not_stop_the_others(store: Both, base: str, folder: Path) -> None:
    os.fsencode(folder)
    (folder / os.fsdecode(b"not-utf-8-\xff")).write_text("x")
    (folder / "z").write_text("x")
    unfinished = folder / ".z.objectstore-part"
    unfinished.write_text("half")
    report = store.upload_dir(folder, base)
    assert f"{base}z" in report.done
    assert not any("objectstore-part" in key for key in report.done)
    [(_, error)] = report.failed.items()
    assert isinstance(error, InvalidKey)
    with pytest.raises(InvalidKey, match="not UTF-8"):
        report.check()


def test_a_folder_that_is_not_there_is_an_error(store: Both, base: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.upload_dir(tmp_path / "nowhere", base)


def test_keys_that_would_leave_the_folder_are_refused(store: Both, base: str, tmp_path: Path) -> None:
    wrong = ["../up", "a/../../up", "/absolute", "a//b", ".", "a/./b", "both", "n" * 256, ".x.objectstore-part"]
    for name in (*wrong, "both/below", "fine", "marked/"):
        store.put(f"{base}{name}", b"" if name == "marked/" else b"x")
    folder = tmp_path / "into"
    report = store.download_dir(base, folder)
    assert sorted(report.failed) == sorted(f"{base}{name}" for name in wrong)
    assert all(isinstance(error, InvalidKey) for error in report.failed.values())
    assert sorted(report.done) == [f"{base}{name}" for name in ("both/below", "fine", "marked/")]
    assert (folder / "marked").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["into"]


def test_links_in_the_folder_are_not_written_through(store: Both, base: str, tmp_path: Path) -> None:
    store.put(f"{base}link/file", b"x")
    store.put(f"{base}direct", b"x")
    into, outside = tmp_path / "into", tmp_path / "outside"
    into.mkdir()
    outside.mkdir()
    (into / "link").symlink_to(outside)
    (into / "direct").symlink_to(outside / "direct")
    report = store.download_dir(base, into)
    assert sorted(report.failed) == [f"{base}direct", f"{base}link/file"]
    assert not [*outside.iterdir()]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("", "empty name"), ("a/", "empty name"), ("/a", "empty name"), ("..", "'..'"), ("a/.", "'.'"), ("a\0", "NUL")],
)
def test_what_is_no_path_says_why(name: str, complaint: str) -> None:
    with pytest.raises(InvalidKey, match=complaint.replace(".", r"\.")):
        path_of(f"p/{name}", "p/")


def test_paths_and_keys_are_each_others_inverse() -> None:
    for name in ("a", "a/b", "a b/ü", "...", "a\\b", "C:"):
        assert key_of(str(path_of(f"p/{name}", "p/")), "p/") == f"p/{name}"


def test_names_that_differ_in_case_clash_only_where_the_file_system_says_so() -> None:
    paths = [PurePosixPath(one) for one in ("A/x", "B", "a/y", "b", "é", "e\u0301")]
    assert clashes(paths, folds=False) == {}
    found = clashes(paths, folds=True)
    assert sorted(map(str, found)) == ["a/y", "b", "e\u0301"]
    assert "same file as 'B'" in str(found[PurePosixPath("b")])


def test_many_objects_are_fetched_in_order_with_their_errors(store: Both, base: str) -> None:
    keys = [f"{base}{n}" for n in range(200)]
    report = store.put_many((key, key.encode()) for key in keys)
    assert sorted(report.done) == sorted(keys)
    store.delete(keys[7])
    found = list(store.get_many(keys, concurrency=5))
    assert [key for key, _ in found] == keys
    for key, data in found:
        if key == keys[7]:
            assert isinstance(data, NotFound)
        else:
            assert data == key.encode()


def test_many_objects_are_stored_with_their_errors(store: Both, base: str, folder: Path) -> None:
    store.put(f"{base}there", b"old")
    items = {f"{base}there": b"new", f"{base}fresh": b"new", f"{base}file": folder / "one.txt", f"{base}no": Path("no")}
    report = store.put_many(items, conditions=ONLY_IF_ABSENT, content_type="x/y")
    assert isinstance(report.failed[f"{base}there"], AlreadyExists)
    assert isinstance(report.failed[f"{base}no"], FileNotFoundError)
    assert sorted(report.done) == [f"{base}file", f"{base}fresh"]
    assert store.head(f"{base}fresh").attributes.content_type == "x/y"
    with pytest.raises(TypeError, match="several keys"):
        list(store.get_many("key"))


def test_keys_are_taken_only_some_ahead_of_what_is_read(store: Both, base: str) -> None:
    taken: list[int] = []

    def keys() -> Iterator[str]:
        for n in range(10_000):
            taken.append(n)
            yield f"{base}absent{n}"

    if store.kind == "sync":
        found = store.store.get_many(keys(), concurrency=2)
        assert isinstance(next(found)[1], ObjectStoreError)
        found.close()
    else:

        async def one() -> None:
            found = store.store.get_many(keys(), concurrency=2)
            assert isinstance((await anext(found))[1], ObjectStoreError)
            await found.aclose()

        store._runner.run(one())
    assert len(taken) < 50


def test_transfers_tell_what_happens(store: Both, base: str, folder: Path, tmp_path: Path) -> None:
    store.put(f"{base}down", b"12345")
    jobs: list[Job] = [
        Upload(source=folder / "one.txt", key=f"{base}up"),
        Download(key=f"{base}down", path=tmp_path / "new" / "down"),
        Download(key=f"{base}absent", path=tmp_path / "absent"),
    ]
    events: list[Event] = []
    results = {one.job: one for one in store.transfer(jobs, on_event=events.append)}
    assert results[jobs[0]].info.key == f"{base}up"
    assert (tmp_path / "new" / "down").read_bytes() == b"12345"
    assert isinstance(results[jobs[2]].error, NotFound)
    for job in jobs:
        mine = [one for one in events if (one.result.job if isinstance(one, Ended) else one.job) is job]
        assert mine[0] == Started(job)
        assert mine[-1] == Ended(results[job])
    assert Moved(jobs[1], 5, 5) in events


def test_what_a_callback_or_the_jobs_raise_ends_all(store: Both, base: str) -> None:
    def fail(_event: Event) -> None:
        raise ZeroDivisionError

    def jobs() -> Iterator[Upload]:
        yield Upload(source=b"x", key=f"{base}k")
        raise ZeroDivisionError

    cases: list[Callable[[], object]] = [
        lambda: store.transfer([Upload(source=b"x", key=f"{base}k")], on_event=fail),
        lambda: store.transfer(jobs()),
    ]
    for case in cases:
        with pytest.raises(ZeroDivisionError):
            case()
