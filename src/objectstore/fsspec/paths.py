"""Keys, and what stands for folders.

A path is a key, as it is: `a//b`, `a/../b` and `/a` are keys like others. A folder is whatever keys have a prefix in
common that ends with a slash: `a` and `a/` are the folder of the keys that begin with `a/`, and `a//` is another one.
"""

from __future__ import annotations


def prefix_of(path: str) -> str:
    """What the keys in this folder begin with."""
    return path if not path or path.endswith("/") else f"{path}/"


def folder_of(prefix: str) -> str:
    """The folder's path: without the slash at its end, unless that would make it another folder."""
    shorter = prefix.removesuffix("/")
    return shorter if shorter and not shorter.endswith("/") else prefix


def parent_of(path: str) -> str:
    """The folder that this path is in."""
    above, separator, _ = path.removesuffix("/").rpartition("/")
    return folder_of(above + separator)


def folders_above(key: str, root: str) -> list[str]:
    """The folders between the prefix `root`, which the key begins with, and the key."""
    found = []
    at = key.find("/", len(root))
    while at != -1:
        found.append(folder_of(key[: at + 1]))
        at = key.find("/", at + 1)
    return found


def has_place(path: str) -> bool:
    """Whether a file system has just this one place for it: it tidies away empty parts and dots."""
    return not any(part in {"", ".", ".."} for part in path.split("/"))
