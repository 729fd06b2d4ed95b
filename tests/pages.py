"""The documentation as tests see it: its pages, the blocks of code in them, and how those are run."""

from __future__ import annotations

import re
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
