"""The documentation as tests see it: its pages, the blocks of code in them, and how those are run."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What pages that name a server in their examples call it and its token.
ADDRESS, TOKEN = "localhost:8000", "your-api-key"


@dataclass(frozen=True)
class Snippet:
    """A fenced block of a page; `line` is that of its fence."""

    page: Path
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}"


def snippets(page: Path, *languages: str) -> list[Snippet]:
    """The fenced blocks of a page, in its order; of these languages, or of all."""
    text = page.read_text()
    found = [Snippet(page, one[1], one[2], text.count("\n", 0, one.start()) + 1) for one in _FENCED.finditer(text)]
    return [one for one in found if not languages or one.language in languages]


def run_in_order(
    blocks: Iterable[Snippet], replaced: Mapping[str, str] | None = None
) -> Iterator[tuple[Snippet, dict[str, object]]]:
    """Run blocks of Python one after the other, as the cells of a notebook; after each, it and the names there are.

    Errors have the line of the page. `replaced` are words to put in the place of others before.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks:
        code = block.text
        for word, other in (replaced or {}).items():
            code = code.replace(word, other)
        exec(compile("\n" * block.line + code, str(block.page), "exec"), names)  # noqa: S102  our own documentation
        yield block, names


def run_against(url: str, token: str, page: Path) -> dict[str, object]:
    """Run the Python of a page whose examples speak to `http://localhost:8000`; the names there are at its end."""
    replaced = {ADDRESS: url.removeprefix("http://"), TOKEN: token}
    names: dict[str, object] = {}
    for _, names in run_in_order(snippets(page, "python"), replaced):  # noqa: B007  the last one is given back
        pass
    return names


def run_cells(cells: Iterable[Snippet]) -> list[object]:
    """Run cells as a notebook does: in a running event loop, where they may await; what the last line of each gave."""
    names: dict[str, object] = {"__name__": "__main__"}

    async def all_of_them() -> list[object]:
        return [await _run_cell(cell, names) for cell in cells]

    return asyncio.run(all_of_them())


async def _run_cell(cell: Snippet, names: dict[str, object]) -> object:
    tree = ast.parse("\n" * cell.line + cell.text)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None  # type: ignore[attr-defined]  # it has
    await _run_code(tree, cell, names)
    return await _run_code(last, cell, names) if last else None


async def _run_code(tree: ast.Module | ast.Expression, cell: Snippet, names: dict[str, object]) -> object:
    mode = "eval" if isinstance(tree, ast.Expression) else "exec"
    code = compile(tree, str(cell.page), mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    given = eval(code, names)  # noqa: S307  our own documentation
    return await given if code.co_flags & inspect.CO_COROUTINE else given


def notebook_cells(notebook: Path) -> list[Snippet]:
    """The cells with code of a notebook; the line is the cell's number."""
    cells = json.loads(notebook.read_text())["cells"]
    return [
        Snippet(notebook, "python", "".join(cell["source"]), number)
        for number, cell in enumerate(cells)
        if cell["cell_type"] == "code"
    ]


def run_in_folder(page: Path, folder: Path, environment: Mapping[str, str]) -> int:
    """Follow a page in an empty folder: write the files that it shows, run its commands, compare what they print.

    Python whose first line is a comment with the name of a file is that file. `bash` is run; a block of `text` after
    it is what it prints, to the letter. How many commands were run.
    """
    printed, ran = "", 0
    for one in snippets(page, "python", "bash", "text"):
        where = f"{page.name}, {one}"
        if one.language == "python":
            named = re.match(r"# (\w+\.py)\n", one.text)
            assert named, f"{where}: its first line does not name a file"
            (folder / named[1]).write_text(one.text)
        elif one.language == "bash":
            done = subprocess.run(
                ["bash", "-eu", "-o", "pipefail", "-c", one.text],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"
            printed, ran = done.stdout, ran + 1
        else:
            assert printed.strip() == one.text.strip(), where
    return ran
