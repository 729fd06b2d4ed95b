"""Every page of the documentation can be found, and every link in it leads somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pages import DOCS, ROOT

_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)


def documents() -> list[Path]:
    """All Markdown that is kept, fragments of changes too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (FileNotFoundError, subprocess.CalledProcessError):  # a copy without its history
        pages = [*DOCS.rglob("*.md"), *ROOT.glob("changes/*.md")]
        listed = ["README.md", *(str(one.relative_to(ROOT)) for one in pages)]
    return [ROOT / one for one in listed if (ROOT / one).exists()]


def anchors(page: Path) -> set[str]:
    """What may stand behind a `#`, as GitHub and GitLab make it of headings."""
    found: dict[str, int] = {}
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    names: set[str] = set()
    for heading in _HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        number = found.get(name, 0)
        found[name] = number + 1
        names.add(f"{name}-{number}" if number else name)
    return names


def links(page: Path) -> list[str]:
    """Those to files of the repository, with their anchors."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [one for one in _LINK.findall(text) if not re.match(r"[a-z]+:", one)]


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    # Fragments of changes are read from the root, where they are put together.
    here = ROOT if page.parent.name == "changes" else page.parent
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (here / name).resolve() if name else page
        assert target.exists(), f"{link} is not there"
        if anchor:
            assert anchor in anchors(target), f"{link}: there is no such heading in {target.relative_to(ROOT)}"


def test_every_page_can_be_found_from_the_first_one() -> None:
    found: set[Path] = set()
    waiting = [ROOT / "README.md", DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in found:
            found.add(page)
            targets = [(page.parent / one.partition("#")[0]).resolve() for one in links(page)]
            waiting += [one for one in targets if one.suffix == ".md" and one.exists()]
    lost = {*DOCS.rglob("*.md")} - found
    assert not lost, f"no link leads to {', '.join(sorted(str(one.relative_to(ROOT)) for one in lost))}"


def test_the_index_names_every_page_in_a_line() -> None:
    index = DOCS / "README.md"
    listed = re.findall(r"^- \[.*?\]\((\S+?)\): \S", index.read_text(), re.MULTILINE)
    twice = {one for one in listed if listed.count(one) > 1}
    assert not twice, f"docs/README.md lists {', '.join(sorted(twice))} twice"
    # What has an index of its own is found by that.
    deeper = {"stores", "reference", "cookbook"}
    wanted = {str(one.relative_to(DOCS)) for one in DOCS.rglob("*.md") if one.parent.name not in deeper} - {"README.md"}
    missing = wanted - {*listed}
    assert not missing, f"docs/README.md has no line for {', '.join(sorted(missing))}"
    for folder in deeper - {"stores"}:  # its index is stores.md
        if (DOCS / folder).exists():
            own = (DOCS / folder / "README.md").read_text()
            assert f"{folder}/README.md" in listed
            for page in (DOCS / folder).glob("*.md"):
                assert page.name == "README.md" or f"({page.name})" in own, page.name


def test_anchors_are_made_as_the_sites_make_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b_c` – d!\n## Twice\n## Twice\n```\n# no heading\n```\n### RestStore.put\n")
    assert anchors(page) == {"a-b_c--d", "twice", "twice-1", "reststoreput"}
