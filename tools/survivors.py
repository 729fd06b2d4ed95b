"""The list of changes to the code that no test notices: docs/mutants.md, read and compared with the code."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "mutants.md"

_COMMENT: Final = re.compile(r"  # .*$")  # as the formatter sets them apart
_BLOCK: Final = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Names that are compared without regard to case: those of SQL outside of its quotes, and of encodings.
_CASELESS: Final = re.compile(
    r"""(?i)(?<=")(?:SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|BEGIN|COMMIT|ROLLBACK|WITH|AND)\b[^"']*(?=")"""
    r"""|(?<=code\(["'])(?:latin-1|utf-8|ascii)(?=["'])"""
)
_NAME: Final = re.compile(r"x(?:_|ǁ(?P<owner>\w+)ǁ)(?P<function>\w+?)__mutmut_(?:\d+|orig)")


@dataclass(frozen=True, slots=True)
class Change:
    """What one function says instead of what it should."""

    place: str  # core/keys.py check_key, or core/digests.py Digester.update
    removed: tuple[str, ...]  # lines without their indentation
    added: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"@@ {self.place} @@", *(f"-{one}" for one in self.removed), *(f"+{one}" for one in self.added)]
        return "\n".join(lines)

    @property
    def only_case(self) -> bool:
        """Whether nothing changes but the case of what is read without regard to it: the same program."""
        same = [_CASELESS.sub(lambda found: found[0].lower(), line) for line in self.removed]
        return same == [_CASELESS.sub(lambda found: found[0].lower(), line) for line in self.added]


Listed: TypeAlias = dict[Change, str]
"""The listed changes, each with the heading that it stands under."""


def listed(text: str | None = None) -> Listed:
    """What docs/mutants.md says."""
    text = PAGE.read_text(encoding="utf-8") if text is None else text
    found: Listed = {}
    for block in _BLOCK.finditer(text):
        headings = re.findall(r"^## (.*)$", text[: block.start()], re.MULTILINE)
        for change in _entries(block[1]):
            if change in found:
                raise ValueError(f"listed twice: {change}")
            found[change] = headings[-1]
    return found


def _entries(block: str) -> Iterator[Change]:
    place: str | None = None
    removed: list[str] = []
    added: list[str] = []
    for line in [*block.splitlines(), "@@  @@"]:
        if line.startswith("@@"):
            if place:
                yield Change(place, tuple(removed), tuple(added))
            place, removed, added = line.strip("@ "), [], []
        elif line:
            {"-": removed, "+": added}[line[0]].append(line[1:])


def plain(line: str) -> str:
    """The line without indentation and comment."""
    return _COMMENT.sub("", line.strip())


def changes(module: str, mutated: str, names: Collection[str]) -> dict[str, Change]:
    """What the named mutants of a module change; `mutated` is its text as mutmut wrote it, all mutants in it."""
    wanted = {name.rpartition(".")[2]: name for name in names}
    if not wanted:
        return {}
    lines = mutated.splitlines()
    functions: dict[str, list[str]] = {}
    for node in ast.walk(ast.parse(mutated)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _NAME.fullmatch(node.name):
            text = [plain(one) for one in lines[node.lineno - 1 : node.end_lineno]]
            functions[node.name] = [one.replace(node.name, _NAME.sub(r"\g<function>", node.name)) for one in text]
    found = {}
    for short, name in wanted.items():
        original = functions[re.sub(r"\d+$", "orig", short)]
        found[name] = Change(f"{module} {_readable(short)}", *_difference(original, functions[short]))
    return found


def _readable(name: str) -> str:
    parts = _NAME.fullmatch(name)
    assert parts is not None, name  # noqa: S101  for the type checker
    return f"{parts['owner']}.{parts['function']}" if parts["owner"] else parts["function"]


def _difference(original: list[str], changed: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lines = list(difflib.ndiff(original, changed))
    return tuple(one[2:] for one in lines if one[0] == "-"), tuple(one[2:] for one in lines if one[0] == "+")
