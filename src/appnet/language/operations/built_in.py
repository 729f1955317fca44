"""Built-in functions: each resolves its calls, by its name and the types of their arguments, to operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appnet.language.operations.call import Call
from appnet.language.operations.declaration import Operation
from appnet.language.typed import Value

Resolver = Callable[[Call], Value]
"""The value of a call of a function; unit where it is called for its effect."""


@dataclass(frozen=True)
class SpecialForm:
    """A way to call a function that becomes no operation, such as reading a field.

    ``example``: as an `Operation` has it; empty where others show it.
    """

    usage: str
    meaning: str
    example: str = ""


@dataclass(frozen=True)
class BuiltIn:
    """A built-in function.

    ``resolve``: what it becomes; None where the signature of its one operation tells what arguments it takes.
    ``operations``: those that its record declares. ``forms``: its other ways to be written. ``aliases``: its other
    names. ``elsewhere``: what other languages call it, in lower case.
    """

    name: str
    resolve: Resolver | None
    operations: tuple[Operation, ...] = ()
    forms: tuple[SpecialForm, ...] = ()
    aliases: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    def usage(self, name: str) -> str:
        """All ways to write it, under one of its names."""
        written = dict.fromkeys((*(it.usage for it in self.forms), *(it.usage for it in self.operations)))
        *others, last = (name + it.removeprefix(self.name) for it in written)
        return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True)
class Chapter:
    """Operators and functions that the reference tells of together."""

    title: str
    entries: tuple[Operation | BuiltIn, ...]

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations of all its entries."""
        return tuple(
            operation
            for entry in self.entries
            for operation in (entry.operations if isinstance(entry, BuiltIn) else (entry,))
        )


def function(
    operation: Operation,
    resolve: Resolver | None = None,
    *,
    aliases: tuple[str, ...] = (),
    elsewhere: tuple[str, ...] = (),
) -> BuiltIn:
    """The function of one operation; its signature tells what arguments it takes, where ``resolve`` does not."""
    return BuiltIn(
        operation.function,
        resolve,
        (operation,),
        aliases=aliases,
        elsewhere=elsewhere,
    )
