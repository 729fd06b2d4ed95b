"""What somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def among(name: str, known: Iterable[str]) -> str:
    """The end of a complaint about an unknown `name`: the nearest of the `known` ones, and all of them."""
    by_fold = {one.casefold(): one for one in known}
    if not by_fold:
        return "; there are none"
    near = get_close_matches(name.casefold(), by_fold, n=1)
    hint = f"; did you mean {by_fold[near[0]]!r}?" if near else ";"
    return f"{hint} there are: {', '.join(by_fold.values())}"
