"""The pages of docs/reference: what can be imported, from docstrings and signatures. `make docs` runs it."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.sources import Found, Function, docstring, find, members, module

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
_WIDTH = 100  # of a signature in one line
_SECTION = re.compile(r"^(Args|Raises|Returns|Yields|Attributes)( \(.*\))?:$")
_NOTE = "<!-- Written by `make docs` from the docstrings: change those. -->"


@dataclass(frozen=True)
class Page:
    module: str
    subject: str
    first: tuple[str, ...] = ()  # names that stand before the others

    @property
    def file(self) -> str:
        return f"{self.module.removeprefix('objectstore.').replace('.', '-')}.md"


# A name that several of them export is described on the first of these, and linked from the others.
PAGES = (
    Page("objectstore.errors", "every error, as a tree"),
    Page("objectstore.values", "what goes in and comes out: objects, ranges, conditions"),
    Page("objectstore.library", "stores in this process, without a server"),
    Page("objectstore.fsspec", "the file system for pandas, xarray, dask and others"),
    Page("objectstore.zarr", "the store for zarr"),
    Page("objectstore.testing", "a real server for tests, which fails on demand"),
    Page("objectstore.client.progress", "a progress bar"),
    Page("objectstore.client", "the clients, and what their methods give back", ("RestStore", "AsyncRestStore")),
    Page("objectstore", "the names that most programs need"),
)


def pages() -> dict[str, str]:
    """The text of each file of the folder."""
    homes: dict[tuple[str, str], Page] = {}
    written: dict[str, str] = {}
    for page in PAGES:
        here: list[Found] = []
        elsewhere: list[tuple[str, Page, Found]] = []
        names = module(page.module).exported()
        for name in [*page.first, *(one for one in names if one not in page.first)]:
            found = find(page.module, name)
            if found is None or _is_private(found):
                continue
            home = homes.setdefault((found.module.name, found.name), page)
            if home is page:
                here.append(found)
            else:
                elsewhere.append((name, home, found))
        written[page.file] = "\n".join(_page(page, here, elsewhere)).rstrip() + "\n"
    written["README.md"] = "\n".join(_index()) + "\n"
    places = {f"{found.name}.{one.name}": home for found, home in _classes(homes) for one in members(found)}
    return {name: _linked(text, places) for name, text in written.items()}


def _classes(homes: dict[tuple[str, str], Page]) -> Iterator[tuple[Found, Page]]:
    for (where, name), home in homes.items():
        found = find(where, name)
        if found is not None and isinstance(found.node, ast.ClassDef):
            yield found, home


def _linked(text: str, places: dict[str, Page]) -> str:
    """With links from words such as `RestStore.put` to what they name."""

    def link(named: re.Match[str]) -> str:
        home = places.get(named[1])
        return f"[`{named[1]}`]({home.file}#{named[1].lower().replace('.', '')})" if home else named[0]

    return re.sub(r"(?<!\[)`([A-Z]\w+\.\w+)`", link, text)


def _is_private(found: Found) -> bool:
    """A constant that nothing is said of is of use inside only."""
    return isinstance(found.node, ast.Assign | ast.AnnAssign) and not docstring(found)


def _index() -> Iterator[str]:
    yield from (_NOTE, "", "# Reference", "")
    yield "All that can be imported, from the docstrings. What it is for is told, with examples, in"
    yield "[the other pages](../README.md)."
    yield ""
    for page in reversed(PAGES):
        yield f"- [`{page.module}`]({page.file}): {page.subject}"


def _page(page: Page, here: list[Found], elsewhere: list[tuple[str, Page, Found]]) -> Iterator[str]:
    yield from (_NOTE, "", f"# `{page.module}`", "", *_prose(module(page.module).docstring), "")
    if elsewhere:
        yield from ("| | |", "|---|---|")
        for name, home, found in elsewhere:
            link = f"{home.file}#{found.name.lower()}"
            yield f"| [`{name}`]({link}) | {_first_sentence(docstring(found))} |"
        yield ""
    for found in here:
        yield from _entry(found)


def _entry(found: Found) -> Iterator[str]:
    yield from (f"## {found.name}", "", "```python")
    if isinstance(found.node, ast.ClassDef):
        yield from _class(found.node, found)
    elif isinstance(found.node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _signatures(found)
    else:
        yield found.module.lines(found.node)
    yield from ("```", "", *_prose(docstring(found)), "")
    if isinstance(found.node, ast.ClassDef):
        plain = [one.name for one in members(found) if not docstring(one)]
        if plain:
            yield from (f"As its bases have them, or as their names say: {', '.join(f'`{one}`' for one in plain)}.", "")
        for one in members(found):
            if docstring(one):
                yield from (f"### {found.name}.{one.name}", "", "```python", *_signatures(one), "```", "")
                yield from (*_prose(docstring(one)), "")


def _class(node: ast.ClassDef, found: Found) -> Iterator[str]:
    bases = ", ".join(ast.unparse(one) for one in node.bases)
    fields: list[str] = []
    for one in node.body:
        if isinstance(one, ast.AnnAssign) and not ast.unparse(one.target).startswith("_"):
            fields.extend(found.module.lines(one).splitlines())
        elif isinstance(one, ast.FunctionDef) and one.name == "__init__" and not _takes_parts(found.module.name, one):
            fields.extend(_signature(one))
    yield f"class {node.name}" + (f"({bases})" if bases else "") + (":" if fields else "")
    yield from (f"    {line}" for line in fields)


def _takes_parts(where: str, node: Function) -> bool:
    """Whether it is made of what only the package has, and so by the package alone."""
    known = {name for page in PAGES for name in module(page.module).exported()}
    arguments = [*node.args.args, *node.args.kwonlyargs]
    annotations = [one.annotation for one in arguments if one.annotation]
    names = {part.id for one in annotations for part in ast.walk(one) if isinstance(part, ast.Name)}
    return any(name not in known and find(where, name) is not None for name in names)


def _signatures(found: Found) -> Iterator[str]:
    if isinstance(found.node, ast.FunctionDef | ast.AsyncFunctionDef):
        for one in found.overloads or (found.node,):
            yield from _signature(one)


def _signature(node: Function) -> Iterator[str]:
    for mark in node.decorator_list:
        if ast.unparse(mark) != "overload":
            yield f"@{ast.unparse(mark)}"
    start = f"{'async ' if isinstance(node, ast.AsyncFunctionDef) else ''}def {node.name}("
    end = ")" + (f" -> {_written(node.returns)}" if node.returns and node.name != "__init__" else "")
    parameters = list(_parameters(node.args))
    line = start + ", ".join(parameters) + end
    if len(line) <= _WIDTH:
        yield line
    else:
        yield from (start, *(f"    {one}," for one in parameters), end)


def _parameters(args: ast.arguments) -> Iterator[str]:
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    for number, (one, default) in enumerate(zip(positional, defaults, strict=True), start=1):
        if number > 1 or one.arg not in {"self", "cls"}:
            yield _parameter(one, default)
        if number == len(args.posonlyargs):
            yield "/"
    if args.vararg:
        yield "*" + _parameter(args.vararg, None)
    elif args.kwonlyargs:
        yield "*"
    for one, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield _parameter(one, default)
    if args.kwarg:
        yield "**" + _parameter(args.kwarg, None)


def _parameter(one: ast.arg, default: ast.expr | None) -> str:
    if one.annotation is None:
        return one.arg + (f"={_written(default)}" if default else "")
    return f"{one.arg}: {_written(one.annotation)}" + (f" = {_written(default)}" if default else "")


def _written(node: ast.expr) -> str:
    return ast.unparse(node).replace("'", '"')


def _first_sentence(text: str) -> str:
    first = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<=[.;:]) ", first)[0].rstrip(";:").replace("|", "\\|")


def _prose(text: str) -> Iterator[str]:
    """A docstring as Markdown: its sections become lists, drawings stay as they are."""
    if "├──" in text:
        head, _, tree = text.partition("\n\n")
        yield from (head, "", "```text", *tree.splitlines(), "```")
        return
    section = ""
    for line in text.splitlines():
        if found := _SECTION.match(line):
            section = found[1]
            yield from (f"**{section}**{found[2] or ''}", "")
        elif section and (item := re.match(r" {4}(\S.*)", line)):
            yield f"- {_item(section, item[1])}"
        elif section and line.startswith(" "):
            yield f"  {line.strip()}"
        else:
            section = section if not line else ""
            yield line


def _item(section: str, text: str) -> str:
    if section == "Raises":
        return re.sub(r"(?<!`)\b[A-Z][a-zA-Z]+\b(?!`)", lambda one: _error(one[0]), text)
    name, colon, rest = text.partition(": ")
    return f"`{name}`: {rest}" if colon else text


def _error(name: str) -> str:
    if name in module("objectstore.errors").exported():
        return f"[`{name}`](errors.md#{name.lower()})"
    return f"`{name}`" if hasattr(builtins, name) else name


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    texts = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
