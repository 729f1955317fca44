"""What is told of a value that an option does not take: our words, in place of the validator's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, get_args

import typer

from appnet.diagnostics.near import did_you_mean, near_names


def reword(error: typer.BadParameter, options: Iterable[str]) -> None:
    """Puts what the option takes, and the near value, in place of the validator's message; what we said stays.

    ``options``: of the command.
    """
    errors = getattr(error.__cause__, "errors", None)  # only the validator's have it
    if errors is None:
        return
    error.message = _told(error.param, errors()[0]["input"])
    if "--output" in getattr(error.param, "opts", ()) and "--write" in options and "did you mean" not in error.message:
        error.message += "; --write names where to write"


def none_of(value: str, choices: Iterable[str]) -> str:
    """That ``value`` is none of the choices, with those near it."""
    names = list(choices)
    near = did_you_mean(near_names(value, names))
    return f"{value!r} is not one of {', '.join(names)}" + (f"; {near}" if near else "")


def completing(choices: Iterable[str]) -> Callable[[str], list[str]]:
    """What a shell completes a value from, for ``autocompletion``."""
    names = list(choices)

    def complete(incomplete: str) -> list[str]:
        return [it for it in names if it.startswith(incomplete)]

    return complete


def _told(option: Any, value: Any) -> str:
    annotation = option.type_descriptor.annotation
    (kind,) = get_args(annotation) or (annotation,)  # of an option that may be repeated, of each value
    if isinstance(kind, type) and issubclass(kind, Enum):
        return none_of(str(value), (str(it.value) for it in kind))
    if kind in (int, float):
        return f"{value!r} is not a {'whole ' if kind is int else ''}number{_range(option.min, option.max)}"
    return f"{value!r} is not a valid value"


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f" up to {high}"
    return f" of at least {low}" if high is None else f" from {low} to {high}"
