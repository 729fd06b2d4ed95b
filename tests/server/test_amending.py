"""uvicorn's classes are amended when they run and are as they were read, and else left alone, which the log tells."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import Server

from objectstore.server import accepting, heads, leaving
from objectstore.server.amending import amend, module_of_uvicorn


class Greeter:
    def greet(self) -> str:
        return "hello"

    def leave(self) -> str:
        return "bye"


def louder(greeter: type[Greeter]) -> Iterable[Callable[..., Any]]:
    before = greeter.greet

    def greet(self: Greeter) -> str:
        return before(self).upper()

    greet.__module__ = "ours"  # as that of a module which amends
    return (greet,)


def louder_and_longer(greeter: type[Greeter]) -> Iterable[Callable[..., Any]]:
    def stay(_: Greeter) -> str:
        return "no"

    return (*louder(greeter), stay)


@pytest.fixture
def greeter(monkeypatch: pytest.MonkeyPatch) -> type[Greeter]:
    """A class of a module `uvicorn.greeting`."""
    made = type("Greeter", (), dict(vars(Greeter)))
    monkeypatch.setitem(sys.modules, "uvicorn.greeting", SimpleNamespace(Greeter=made))
    return made


def test_what_does_not_run_is_not_amended() -> None:
    assert module_of_uvicorn("greeting") is None
    amend("greeting", "Greeter", louder)
    assert Greeter().greet() == "hello"


def test_a_method_is_replaced_once(greeter: type[Greeter]) -> None:
    amend("greeting", "Greeter", louder)
    amended = greeter.greet
    amend("greeting", "Greeter", louder)
    assert greeter.greet is amended
    assert (greeter().greet(), greeter().leave()) == ("HELLO", "bye")


def test_a_class_without_a_method_is_left_as_it_is_and_told_of(
    greeter: type[Greeter], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "objectstore.server"):
        amend("greeting", "Greeter", louder_and_longer)
    assert greeter().greet() == "hello"
    assert "has no Greeter.stay, which " in caplog.text


@pytest.mark.parametrize(
    ("owner", "methods_of"),
    [(Server, accepting._amended), (Server, leaving._amended), (HttpToolsProtocol, heads._amended)],
    ids=["accepting", "leaving", "heads"],
)
def test_the_uvicorn_that_is_locked_has_all_that_is_amended(
    owner: type[object], methods_of: Callable[[Any], Iterable[Callable[..., Any]]]
) -> None:
    assert all(hasattr(owner, one.__name__) for one in methods_of(owner))
