"""How a family of operations is printed, and what printing asks of the body that the operation stands in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from appnet.codegen.c.printer.context import ElementContext, InHand
from appnet.codegen.c.printer.reads import Reads
from appnet.codegen.c.printer.types import Types
from appnet.ir.nodes import Atom, Call


class Body(Protocol):
    """The body that is being printed."""

    @property
    def element(self) -> ElementContext:
        """Whose body it is."""

    @property
    def types(self) -> Types:
        """The C types of the chain."""

    @property
    def direction(self) -> InHand:
        """Of the message in hand."""

    @property
    def reads(self) -> Reads | None:
        """What notes its reads, if it does."""

    @property
    def tells(self) -> bool:
        """Whether what it sets in metadata may have to go with an error or a reply."""

    def line(self, text: str) -> None:
        """Adds a line at the depth of the statement in hand."""

    def lines(self, texts: list[str]) -> None:
        """Adds several lines."""

    def note(self, text: str) -> None:
        """Adds a comment."""

    def scope(self) -> str:
        """The scope, for a function that may run out of memory."""

    def call(self) -> str:
        """The call in hand."""

    def temporary(self, c_type: str, name: str, value: str | None = None) -> str:
        """Declares a variable that the program does not know of."""

    def place(self, atom: Atom) -> str:
        """The variable itself."""

    def atom(self, atom: Atom) -> str:
        """The value now: of a container that the body changes, a copy."""

    def pointer(self, atom: Atom) -> str:
        """The address of the value."""

    def heap(self, place: Atom) -> str:
        """The memory of what the container holds; NULL is the arena."""

    def is_secret(self, atom: Atom) -> bool:
        """Whether no log may show the value."""

    def reads_for_store(self, place: Atom) -> bool:
        """Whether the store is told which entries of the Map are looked up."""

    def capacity(self, place: Atom) -> str:
        """The entries that the container may have."""


Value = Callable[[Body, Call], str]
"""Gives the C expression of an operation."""

Effect = Callable[[Body, Call], None]
"""Adds the statements of an operation that is done for its effect."""


@dataclass
class Family:
    """The C of some operations: a template where it is one expression, a function of the printer where it is more.

    A template may hold ``{0}``, ``{1}``, … for operands, and ``{scope}``, ``{call}``, ``{instance}``, ``{element}``.
    An operation that stands nowhere is the runtime's function of its name: ``an_NAME({0}, …)``. ``lasting``: those
    whose text lasts as long as the call; that of others, as long as what they were given.
    """

    templates: Mapping[str, str] = field(default_factory=dict)
    lasting: frozenset[str] = frozenset()
    values: dict[str, Value] = field(default_factory=dict)
    effects: dict[str, Effect] = field(default_factory=dict)

    def value(self, function: Value) -> Value:
        """Decorates the function of the operation of its name."""
        self.values[function.__name__.strip("_")] = function
        return function

    def effect(self, function: Effect) -> Effect:
        """Decorates the function of the operation of its name."""
        self.effects[function.__name__.strip("_")] = function
        return function


def option(body: Body, call: Call, function: str, *arguments: str) -> str:
    """What a function of the runtime gives that says whether it can, and writes what it gives to its last argument."""
    answer = body.temporary(body.types.name(call.type), "answer")
    body.line(f"{answer}.some = {function}({', '.join([body.scope(), *arguments])}, &{answer}.value);")
    return answer
