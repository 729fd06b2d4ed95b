"""`objectstore cp`, `mv`, `sync`, `du`, `cat` and `tree`, as users call them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.served import Served, environment, invoke
from objectstore.cli.count import Count
from objectstore.cli.du import shares_of
from objectstore.cli.exits import Usage
from objectstore.cli.live import duration, line
from objectstore.cli.locations import Local, Remote, Server, Stream, destination, parse
from objectstore.cli.sync import patterns_of
from objectstore.cli.tree import drawn


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("-", Stream()),
        ("os:", Remote(Server(), "", "os:")),
        ("os:a/b", Remote(Server(), "a/b", "os:")),
        ("os:os:a", Remote(Server(), "os:a", "os:")),
        ("os:/a", Remote(Server(), "/a", "os:")),
        ("os@lab:a", Remote(Server(profile="lab"), "a", "os@lab:")),
        ("objectstore://h:1/a/b", Remote(Server(url="http://h:1"), "a/b", "objectstore://h:1/")),
        ("objectstores://h/", Remote(Server(url="https://h"), "", "objectstores://h/")),
        ("objectstore:///a", Remote(Server(), "a", "objectstore:///")),
        ("a", Local("a")),
        ("./os:a", Local("./os:a")),
        ("./-", Local("./-")),
        ("os", Local("os")),
        ("osx:a", Local("osx:a")),
        ("a:b", Local("a:b")),
    ],
)
def test_what_is_typed_is_on_a_server_or_here(text: str, wanted: object) -> None:
    assert parse(text) == wanted
    assert text == "-" or str(wanted) == text


@pytest.mark.parametrize("text", ["", "os@:a", "s3://bucket/a", "http://host/a"])
def test_what_could_be_meant_otherwise_is_refused(text: str) -> None:
    with pytest.raises(Usage):
        parse(text)


@pytest.mark.parametrize(
    ("source", "target", "tree", "wanted"),
    [
        ("a/f", "os:k", False, "os:k"),
        ("a/f", "os:k/", False, "os:k/f"),
        ("a/f", "os:", False, "os:f"),
        ("os:a/f", "d/", False, "d/f"),
        ("os:a/f", "d", False, "d"),
        ("os:a/f", ".", False, "./f"),
        ("os:a/f", "os:b/", False, "os:b/f"),
        ("a/d", "os:k/", True, "os:k/d/"),
        ("a/d", "os:k", True, "os:k/"),
        ("a/d/", "os:k/", True, "os:k/"),
        ("a/d/", "os:k", True, "os:k/"),
        (".", "os:k/", True, "os:k/"),
        ("a/d", "os:", True, "os:d/"),
        ("os:p", "d/", True, "d/p/"),
        ("os:p/", "d/", True, "d/"),
        ("os:", "d", True, "d/"),
    ],
)
def test_slashes_say_where_it_goes(source: str, target: str, tree: bool, wanted: str) -> None:
    ours, theirs = parse(source), parse(target)
    assert not isinstance(ours, Stream)
    assert not isinstance(theirs, Stream)
    assert str(destination(ours, theirs, into=theirs.is_folder, tree=tree)) == wanted


def test_patterns_keep_their_order() -> None:
    args = ["a", "--include", "x", "--delete", "--exclude=y", "--include=z", "--", "--exclude", "w"]
    assert patterns_of(args) == [(True, "x"), (False, "y"), (True, "z")]


def test_progress_is_counted_without_a_clock() -> None:
    count = Count(files=4, total=1000, begun=10.0)
    assert (count.rate(10.0), count.left(11.0)) == (None, None)
    count.bytes, count.done = 200, 1
    assert (count.rate(12.0), count.left(12.0)) == (100.0, 8.0)
    # What was there already was not moved.
    count.bytes, count.skipped, count.skipped_bytes = 400, 1, 200
    assert (count.rate(12.0), count.left(12.0), count.ended) == (100.0, 6.0, 2)
    assert line(count, 12.0) == "2/4 files, 400 B of 1000 B, 100 B/s, 6 s left"
    assert [duration(seconds) for seconds in (0, 59.4, 60, 245, 7389)] == ["0 s", "59 s", "1:00", "4:05", "2:03:09"]


def test_shares_are_those_of_all_groups_each_after_what_is_in_it() -> None:
    sizes = [("a/b/1", 1), ("a/b/2", 2), ("a/c", 4), ("d", 8), ("e//f", 16)]

    def told(prefix: str, depth: int | None) -> dict[str, int]:
        return {name: share.bytes for name, share in shares_of(sizes, prefix, depth)}

    assert list(told("", None).items()) == [("a/b/", 3), ("a/", 7), ("e//", 16), ("e/", 16), ("", 31)]
    assert told("", 1) == {"a/": 7, "e/": 16, "": 31}
    assert told("", 0) == {"": 31}


def test_a_tree_is_drawn() -> None:
    names = ["a/b", "a/c/", "a/c/d", "e"]
    assert list(drawn(names)) == ["├── a/", "│   ├── b", "│   └── c/", "│       └── d", "└── e"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"p/1.jpg": "one", "p/sub/2.txt": "two", "report.pdf": "report"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    os.utime(tmp_path / "p/1.jpg", ns=(10**18, 10**18 + 5000))
    return tmp_path


def run(server: Served, cwd: Path, *arguments: str, code: int = 0, stdin: bytes = b"") -> str:
    """What it says on stdout."""
    done = server.command(*arguments, cwd=cwd, stdin=stdin)
    assert done.returncode == code, done
    assert b"Traceback" not in done.stderr
    return done.stdout.decode()


def files_in(folder: Path) -> Mapping[str, str]:
    return {str(one.relative_to(folder)): one.read_text() for one in folder.rglob("*") if one.is_file()}


def test_what_is_copied_up_and_down_is_the_same(server: Served, folder: Path) -> None:
    run(server, folder, "cp", "report.pdf", "os:cp/", "--meta", "author=Ada")
    run(server, folder, "cp", "-r", "p", "report.pdf", "os:cp/all/")
    assert run(server, folder, "ls", "-r", "cp/").split() == [
        "cp/all/p/1.jpg",
        "cp/all/p/sub/2.txt",
        "cp/all/report.pdf",
        "cp/report.pdf",
    ]
    stat = json.loads(run(server, folder, "stat", "cp/report.pdf", "--json"))
    assert (stat["content_type"], stat["metadata"]["author"]) == ("application/pdf", "Ada")
    run(server, folder, "cp", "-r", "os:cp/all/p/", "down")
    run(server, folder, "cp", "-r", "os:cp/all/p", "deep/")
    assert files_in(folder / "down") == files_in(folder / "deep/p") == files_in(folder / "p")
    assert (folder / "down/1.jpg").stat().st_mtime_ns == 10**18 + 5000
    run(server, folder, "cp", "os:cp/report.pdf", "os:cp/copied")
    assert json.loads(run(server, folder, "stat", "cp/copied", "--json"))["metadata"] == stat["metadata"]
    run(server, folder, "cp", "-", "os:cp/in", stdin=b"piped")
    assert run(server, folder, "cp", "os:cp/in", "-") == "piped"
    run(server, folder, "cp", "--no-clobber", "report.pdf", "os:cp/in", code=1)
    run(server, folder, "cp", "--no-clobber", "os:cp/in", "report.pdf", code=1)
    assert run(server, folder, "cat", "cp/in", "cp/copied", "--range", "1-2") == "ipep"
    assert run(server, folder, "cat", "cp/in", "cp/no", "cp/in", code=4) == "pipedpiped"


def test_events_are_for_programs(server: Served, folder: Path) -> None:
    (folder / "p" / "out").symlink_to("/etc/passwd")
    (folder / "p" / os.fsdecode(b"\xff")).write_text("no UTF-8")
    said = run(server, folder, "cp", "-r", "--json", "p", "os:events/", code=2)
    events = [json.loads(one) for one in said.splitlines()]
    kinds = [one["event"] for one in events]
    assert sorted(kinds) == ["done", "done", "failed", "ignored", "started", "started", "summary"]
    failed = next(one for one in events if one["event"] == "failed")
    assert failed["error"]["code"] == "invalid_key"
    assert events[-1] | {"seconds": 0} == {
        "event": "summary",
        "done": 2,
        "skipped": 0,
        "failed": 1,
        "deleted": 0,
        "files": 3,
        "bytes": 6,
        "seconds": 0,
        "complete": False,
        "stopped": None,
    }


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["cp", "a", "b"], 2),
        (["cp", "p", "os:x"], 2),
        (["cp", "report.pdf", "p/1.jpg", "os:x"], 2),
        (["cp", "os:", "x"], 2),
        (["cp", "-", "os:"], 2),
        (["cp", "-", "-"], 2),
        (["cp", "report.pdf", "-"], 2),
        (["cp", "os:no", "x"], 4),
        (["cp", "-r", "os:no/", "x"], 4),
        (["cp", "no", "os:x"], 1),
        (["cp", "report.pdf", "os@no:x"], 2),
        (["mv", "os:x", "os:x"], 4),
        (["sync", "p", "q"], 2),
        (["sync", "no", "os:x"], 1),
        (["sync", "p", "os:x", "--exclude", "/"], 2),
        (["du", "no/"], 4),
    ],
)
def test_what_cannot_be_done_is_a_line(server: Served, folder: Path, arguments: list[str], code: int) -> None:
    done = server.command(*arguments, cwd=folder)
    assert done.returncode == code, done
    lines = [one for one in done.stderr.decode().splitlines() if one.startswith("objectstore: ")]
    assert len(lines) == 1


def test_what_is_moved_is_gone(server: Served, folder: Path) -> None:
    run(server, folder, "mv", "-r", "p", "os:mv/")
    assert not (folder / "p").exists()
    run(server, folder, "mv", "os:mv/p/1.jpg", "os:mv/2.jpg")
    run(server, folder, "mv", "os:mv/2.jpg", "os:mv/2.jpg", code=2)
    assert run(server, folder, "ls", "-r", "mv/").split() == ["mv/2.jpg", "mv/p/sub/2.txt"]
    run(server, folder, "mv", "-r", "os:mv/", "back")
    assert files_in(folder / "back") == {"2.jpg": "one", "p/sub/2.txt": "two"}
    assert run(server, folder, "ls", "-r", "mv/") == ""


def test_folders_are_made_alike_in_both_directions(server: Served, folder: Path) -> None:
    def sync(*arguments: str, code: int = 0) -> list[str]:
        said = run(server, folder, "sync", *arguments, "--json", code=code)
        events = [json.loads(one) for one in said.splitlines()]
        names = {"done": "target", "deleted": "target", "would_copy": "key", "would_delete": "key"}
        return sorted(f"{one['event']} {one[names[one['event']]]}" for one in events if one["event"] in names)

    assert sync("p", "os:sync", "--dry-run") == ["would_copy 1.jpg", "would_copy sub/2.txt"]
    assert sync("p", "os:sync") == ["done os:sync/1.jpg", "done os:sync/sub/2.txt"]
    assert sync("p/", "os:sync/", "--delete") == []
    assert sync("os:sync", "copy") == ["done copy/1.jpg", "done copy/sub/2.txt"]
    assert sync("os:sync", "copy") == sync("copy", "os:sync", "--delete") == sync("p", "os:sync", "--checksum") == []

    (folder / "p/1.jpg").write_text("ONE")  # of the same size
    (folder / "p/sub/2.txt").unlink()
    (folder / "p/x.log").write_text("x")
    assert sync("p", "os:sync", "--delete", "--exclude", "*.log", "--dry-run") == [
        "would_copy 1.jpg",
        "would_delete sub/2.txt",
    ]
    assert sync("p", "os:sync", "--exclude", "*.log") == ["done os:sync/1.jpg"]
    assert sync("p", "os:sync", "--delete", "--include", "sub/", "--exclude", "*") == ["deleted os:sync/sub/2.txt"]
    assert sync("os:sync", "copy", "--delete") == ["deleted copy/sub/2.txt", "done copy/1.jpg"]
    assert files_in(folder / "copy") == {"1.jpg": "ONE"}
    assert not (folder / "copy/sub").exists()
    assert sync("os:sync", "os:sync2") == ["done os:sync2/1.jpg"]
    assert sync("os:sync", "os:sync2", "--checksum") == sync("os:sync", "os:sync2") == []

    (folder / "empty").mkdir()
    assert sync("empty", "os:sync", "--delete", code=2) == []
    assert run(server, folder, "ls", "-r", "sync/") == "sync/1.jpg\n"
    assert sync("empty", "os:sync", "--delete", "--force") == ["deleted os:sync/1.jpg"]


def test_nothing_is_deleted_unless_all_was_copied(server: Served, folder: Path) -> None:
    run(server, folder, "sync", "p", "os:kept")
    (folder / "p/1.jpg").unlink()
    (folder / "p" / os.fsdecode(b"\xff")).write_text("no UTF-8")
    run(server, folder, "sync", "p", "os:kept", "--delete", code=2)
    assert run(server, folder, "ls", "-r", "kept/").split() == ["kept/1.jpg", "kept/sub/2.txt"]


def test_sizes_and_trees(server: Served, folder: Path) -> None:
    run(server, folder, "cp", "-r", "p/", "os:du/")
    assert run(server, folder, "du", "du/") == "3\tdu/sub/\n6\tdu/\n"
    assert run(server, folder, "du", "-s", "-h", "du/") == "6 B\tdu/\n"
    assert json.loads(run(server, folder, "du", "-s", "--json", "du/")) == {"prefix": "du/", "bytes": 6, "objects": 2}
    assert run(server, folder, "tree", "du/") == "du/\n├── 1.jpg\n└── sub/\n    └── 2.txt\n"
    assert run(server, folder, "tree", "--depth", "1", "du/") == "du/\n├── 1.jpg\n└── sub/\n"


def test_between_two_servers_it_streams(server: Served, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from objectstore.testing import serve

    home = tmp_path_factory.mktemp("home")
    with serve() as other:
        env = environment(XDG_CONFIG_HOME=str(home))
        for name, url, token in (("here", server.url, server.token), ("there", other.url, other.token)):
            assert invoke("login", "--profile", name, "--url", url, "--token", token, env=env).returncode == 0
        host = other.url.removeprefix("http://")
        for arguments in (
            ["cp", "-r", "p", "os@here:two/", "--meta", "site=north"],
            ["cp", "-r", "os@here:two/", f"objectstore://{host}/copied/"],
            ["sync", "os@here:two", "os@there:synced"],
        ):
            done = invoke(*arguments, cwd=folder, env=env)
            assert done.returncode == 0, done
        done = invoke("sync", "os@here:two", "os@there:synced", "--json", env=env)
        assert json.loads(done.stdout)["done"] == 0
        keys = ["copied/p/1.jpg", "copied/p/sub/2.txt", "synced/p/1.jpg", "synced/p/sub/2.txt"]
        assert list(other.store.keys()) == keys
        info = other.store.head("copied/p/1.jpg")
        assert (other.store.get(info.key), info.attributes.metadata["site"]) == (b"one", "north")
        assert info.attributes.content_type == "image/jpeg"


def test_without_a_token_nothing_is_tried_twice(server: Served, folder: Path) -> None:
    env = environment(OBJECTSTORE_URL=server.url, OBJECTSTORE_TOKEN="os_wrong-secret")
    done = invoke("cp", "report.pdf", "p/1.jpg", "os:x/", "--jobs", "1", cwd=folder, env=env)
    assert done.returncode == 5
    assert done.stderr.decode().count("valid token") == 1
    assert b"stopped there" in done.stderr
