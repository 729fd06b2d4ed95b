"""Small changes to the code that no test notices. `make mutants` runs it.

mutmut changes a layer in one place at a time and runs the tests that pass through the changed function, the fastest
first. Each change that no test notices has to stand in docs/mutants.md with the reason; `tools.survivors` reads that.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.survivors import ROOT, Listed, changes, listed

STATE: Final = ROOT / ".mutants"  # what was found out so far: a run goes on where the one before ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What is changed together, and the tests that have to notice."""

    name: str
    modules: tuple[str, ...]  # below src/objectstore
    tests: tuple[str, ...]  # of the functions themselves: a program that a test starts runs them unchanged

    @property
    def folder(self) -> Path:
        return STATE / self.name


def _engine(name: str, modules: str, tests: str) -> Layer:
    return Layer(
        name=name,
        modules=tuple(f"backends/engine/{noun}.py" for noun in modules.split()),
        tests=tuple(f"tests/backends/engine/test_engine_{noun}.py" for noun in tests.split()),
    )


LAYERS: Final = (
    Layer(name="core", modules=("core/*",), tests=("tests/core",)),
    Layer(name="wire", modules=("wire/*",), tests=("tests/wire",)),
    _engine("index", "counters etags index listing operations rows transaction", "listing rows transaction"),
    _engine(
        "disk",
        "board directory failures recent recovery transcript turns",
        "failures folder recent transcript turns",
    ),
    _engine("files", "blobs highwater hold schema scrubstate stored", "marks schema scrubstate staged stored"),
    _engine("levels", "census survey", "levels"),
    _engine("uploads", "upload_operations", "upload_operations"),
    _engine("garbage", "garbage", "collecting"),
    _engine("writing", "writer", "commits"),
    _engine("parts", "parts", "taking"),
    _engine("taking", "intake", "intake taking"),
    _engine("evidence", "backupset fixity rescue", "evidence"),
    _engine("mending", "mending", "donors"),
    _engine("checking", "check", "findings"),
    _engine("keeping", "backup", "states"),
    _engine("restoring", "restore", "restoring"),
    _engine("scrubbing", "scrub", "scrubbing"),
    _engine("pages", "pages", "pages"),
    _engine("rebuilding", "rebuilding", "salvage"),
    _engine("completing", "uploads", "parting"),
    _engine("assembling", "assembly", "assembling"),
    _engine("facade", "backend", "facade opening"),
)

_MYPY: Final = ("mypy", "--output=json", "--disable-error-code=unused-ignore")
# The exit codes of mutmut.
_ALIVE: Final[dict[int | None, str]] = {
    0: "no test notices",
    5: "no test runs it",
    33: "no test runs it",
    35: "undecided",
}
_UNKNOWN: Final = {None, 2, 34}
_TIMEOUTS: Final = {-24, 24, 36, 152, 255}
_TYPES: Final = 37


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=str(__doc__).partition("\n")[0])
    names = [layer.name for layer in LAYERS]
    parser.add_argument("layers", nargs="*", metavar="LAYER", help=f"{', '.join(names)}; all, if none is named")
    parser.add_argument(
        "--again", action="store_true", help="try what survived or took too long once more, as after writing a test"
    )
    parser.add_argument("--show", action="store_true", help="only tell what is known")
    options = parser.parse_args(arguments)
    if unknown := set(options.layers) - set(names):
        parser.error(f"there is no layer {min(unknown)!r}; there are {', '.join(names)}")
    unexplained = 0
    for layer in LAYERS:
        if layer.name in (options.layers or names):
            if not options.show:
                _run(layer, again=options.again)
            unexplained += _report(layer, listed())
    return 1 if unexplained else 0


def _run(layer: Layer, *, again: bool) -> None:
    _prepare(layer)
    if again:
        _forget_tests(layer)
    for meta in _metas(layer):
        known = json.loads(meta.read_text())
        outcomes: dict[str, int | None] = known["exit_code_by_key"]
        # A test that did not end may have been of a busy machine.
        doubtful = {2, 33} | (_ALIVE.keys() | _TIMEOUTS if again else set())
        forgotten = [name for name, one in outcomes.items() if one in doubtful]
        outcomes.update(dict.fromkeys(forgotten))
        meta.write_text(json.dumps(known, indent=4))
    command = ["nice", "-n", "15", sys.executable, "-m", "mutmut", "run", "--max-children", "1"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where mypy is
    subprocess.run(command, cwd=layer.folder, env=os.environ | {"PATH": path}, check=True)  # noqa: S603  all of it is ours


def _prepare(layer: Layer) -> None:
    """A folder that looks like the project with the settings of this layer."""
    layer.folder.mkdir(parents=True, exist_ok=True)
    for name in ("src", "tests"):
        link = layer.folder / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)
    for source in _sources(layer):
        copy = layer.folder / "mutants" / source
        if not copy.with_name(f"{copy.name}.meta").exists():
            copy.unlink(missing_ok=True)  # else mutmut takes a mere copy for up to date
            _forget_tests(layer)
    settings: dict[str, object] = {
        "source_paths": ["src"],
        "only_mutate": [f"src/objectstore/{module}" for module in layer.modules],
        # A message without data in it is only wording.
        "do_not_mutate_patterns": [r'raise \w+\("[^"]*"\)'],
        "pytest_add_cli_args_test_selection": [*layer.tests],
        "pytest_add_cli_args": ["-p", "no:cacheprovider"],
        # mypy is one of the checks of every commit, and so as good as a test.
        "type_check_command": [*_MYPY, *_sources(layer)],
        "timeout_multiplier": 3.0,
        "timeout_constant": 3.0,
        "track_dependencies": False,
        "use_git_change_detection": False,
    }
    text = (ROOT / "pyproject.toml").read_text().replace('"ignore-without-code", ', "")  # mutmut writes such comments
    text += "\n[tool.mutmut]\n" + "".join(f"{name} = {json.dumps(one)}\n" for name, one in settings.items())
    tomllib.loads(text)
    target = layer.folder / "pyproject.toml"
    if not target.exists() or target.read_text() != text:
        target.write_text(text)


def _forget_tests(layer: Layer) -> None:
    """Have mutmut find out anew which tests pass through which function."""
    (layer.folder / "mutants/mutmut-stats.json").unlink(missing_ok=True)


def _sources(layer: Layer) -> list[str]:
    base = ROOT / "src" / "objectstore"
    found = sorted(one for pattern in layer.modules for one in base.glob(pattern) if one.suffix == ".py")
    return [str(one.relative_to(ROOT)) for one in found]


def _metas(layer: Layer) -> Iterator[Path]:
    base = layer.folder / "mutants/src/objectstore"
    # Only of its modules: what was found out of one that has gone to another layer may be there still.
    yield from sorted({meta for module in layer.modules for meta in base.glob(f"{module.removesuffix('.py')}.py.meta")})


def _report(layer: Layer, known: Listed) -> int:
    """How many survive that are not listed; all is told on stdout."""
    counts: Counter[str] = Counter()
    unexplained: list[str] = []
    for meta in _metas(layer):
        outcomes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        if not outcomes:
            continue
        module = str(meta.relative_to(layer.folder / "mutants/src/objectstore")).removesuffix(".meta")
        alive = {name: _ALIVE[outcome] for name, outcome in outcomes.items() if outcome in _ALIVE}
        unknown = {name for name, outcome in outcomes.items() if outcome in _UNKNOWN}
        found = changes(module, meta.with_suffix("").read_text(), alive)
        counts["in all"] += len(outcomes)
        counts["not tried"] += len(unknown)
        found = {name: change for name, change in found.items() if not change.only_case}
        counts["the same but for case"] += len(alive) - len(found)
        counts["listed"] += sum(change in known for change in found.values())
        typed = sum(outcome == _TYPES for outcome in outcomes.values())
        counts["noticed by mypy"] += typed
        counts["noticed by a test"] += len(outcomes) - len(alive) - len(unknown) - typed
        unexplained += [f"{alive[name]}:\n{change}" for name, change in found.items() if change not in known]
    counts["survive without a reason"] = len(unexplained)
    for one in unexplained:
        sys.stdout.write(f"{one}\n\n")
    sys.stdout.write(f"{layer.name}: {', '.join(f'{number} {what}' for what, number in counts.items())}\n")
    return len(unexplained)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("cut short; what was tried is known, and the same command goes on from there")
