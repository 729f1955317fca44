"""Every place of a name in an element, and other names for variables."""

from __future__ import annotations

from collections.abc import Sequence

from appnet.compile.check import CheckedText, check_element
from appnet.diagnostics.diagnostic import Severity
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.remedy import Edit
from appnet.diagnostics.source import TextSource
from appnet.editor.document import ElementText, holds
from appnet.editor.edits import applied
from appnet.language.lexer import KEYWORDS, SECTIONS
from appnet.language.messages import Field
from appnet.language.scope import Mention

_UNSEEN = "W002"
"""The code of statements that nothing reaches, and so nobody looked at."""


class RenameError(Exception):
    """Why a name cannot be another, for people."""


def references(element: ElementText, line: int, column: int) -> list[Span]:
    """Every place of the variable or field at the place, in the order of the text; the variable's declaration is first
    among them.
    """
    found = _at(element.checked, line, column)
    return _places(element.checked, found) if found is not None else []


def nameable(element: ElementText, line: int, column: int) -> Span:
    """The place of the variable's name there. Raises `RenameError` where there is none that can have another."""
    return _variable(element, line, column).span


def renamed(element: ElementText, line: int, column: int, name: str) -> list[Edit]:
    """What gives the variable at the place another name. Raises `RenameError` where that would change what the program
    means, and for what is no name.
    """
    if not name.isidentifier() or name in KEYWORDS or name in SECTIONS:
        raise RenameError(f"`{name}` is not a name that a variable can have")
    edits = [Edit(it, name) for it in _places(element.checked, _variable(element, line, column))]
    after = check_element(_changed(element.source, edits))
    wrong = _errors(after)
    if wrong:
        raise RenameError(f"with this name the program would be wrong: {wrong[0]}")
    if _shape(after) != _shape(element.checked):
        raise RenameError(f"`{name}` is the name of another variable there")
    return edits


def _variable(element: ElementText, line: int, column: int) -> Mention:
    checked = element.checked
    found = _at(checked, line, column)
    if found is None:
        raise RenameError("state variables and locals can have another name; this is none")
    if isinstance(found.target, Field):
        raise RenameError("a field has the name that the .proto gives it")
    if checked.program is not None and any(it.name.name == found.target.name for it in checked.program.parameters):
        raise RenameError(f"`{found.target.name}` is a parameter: configurations give it by this name")
    wrong = _errors(checked)
    if wrong:
        raise RenameError(f"some places of the name may not be known while the program is wrong: {wrong[0]}")
    if any(it.code == _UNSEEN for it in checked.diagnostics):
        raise RenameError("some places of the name are not known while there are statements that are never reached")
    return found


def _at(checked: CheckedText, line: int, column: int) -> Mention | None:
    return next((it for it in _mentions(checked) if holds(it.span, line, column)), None)


def _places(checked: CheckedText, found: Mention) -> list[Span]:
    return [it.span for it in _mentions(checked) if _key(it) == _key(found)]


def _mentions(checked: CheckedText) -> list[Mention]:
    """What the names came to stand for, each place once, in the order of the text."""
    last = {it.span: it for it in checked.mentions}
    return sorted(last.values(), key=lambda it: (it.span.line, it.span.column))


def _key(mention: Mention) -> object:
    return mention.target.path if isinstance(mention.target, Field) else mention.target.span


def _shape(checked: CheckedText) -> list[object]:
    """Which names stand for the same, whatever they are."""
    first: dict[object, int] = {}
    return [first.setdefault(_key(it), number) for number, it in enumerate(_mentions(checked))]


def _errors(checked: CheckedText) -> list[str]:
    return [it.title for it in checked.diagnostics if it.severity is Severity.ERROR]


def _changed(source: Source, edits: Sequence[Edit]) -> Source:
    assert source.path is not None
    return TextSource(source.path, applied(source.text(), edits))
