"""What else is wrong in expressions whose checking an error has ended: each part that it did not come to is checked
by itself, so that an error never hides one that has nothing to do with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from appnet.diagnostics.diagnostic import Diagnostic
from appnet.language import syntax
from appnet.language.expressions import expression
from appnet.language.scope import CheckError, Findings, Follows, Scope
from appnet.language.typed import Variable
from appnet.language.types import FLOAT, REPLY, Type

_WANTED: tuple[Type | None, ...] = (None, FLOAT)
"""What may be needed where the part stands is not known; an error that comes with both does not depend on it."""


def independent_errors(scope: Scope, expressions: Iterable[syntax.Expression]) -> list[Diagnostic]:
    """What is wrong in the parts of ``expressions`` that the check, which has failed, did not come to."""
    nodes, reached, found, hoisted = tuple(expressions), scope.reached, scope.found, scope.hoisted
    told: list[list[Diagnostic]] = []
    try:
        for want in _WANTED:
            scope.reached, scope.found, scope.hoisted = dict(reached), Findings(), []
            told.append([*_of_parts(scope, nodes, want), *scope.found.errors])
            if not told[0]:
                return []
    finally:
        scope.reached, scope.found, scope.hoisted = reached, found, hoisted
    first, second = told
    again = {(it.code, it.span) for it in second}
    return [it for it in first if (it.code, it.span) in again]


def _of_parts(scope: Scope, nodes: Iterable[syntax.Expression], want: Type | None) -> list[Diagnostic]:
    nodes = list(nodes)
    last = max((it for it in nodes if id(it) in scope.reached), key=lambda it: scope.reached[id(it)], default=None)
    found: list[Diagnostic] = []
    for node in nodes:
        if node is last:  # the only one of those reached that may have failed
            found += _of_parts(scope, _parts(scope, node), want)
        elif id(node) not in scope.reached:
            found += _of(scope, node, want)
    return found


def _of(scope: Scope, node: syntax.Expression, want: Type | None) -> list[Diagnostic]:
    """What is wrong in a part."""
    try:
        expression(scope, node, want)
    except (CheckError, Follows) as error:
        own = [error.diagnostic] if isinstance(error, CheckError) else []
        return own + _of_parts(scope, _parts(scope, node), want)
    return []


def _parts(scope: Scope, node: syntax.Expression) -> list[syntax.Expression]:
    """The parts that are expressions: not the RPC, a reply or a field, nor the code of an `err`."""
    if not isinstance(node, syntax.Apply):
        return list(syntax.parts(node))
    if node.function.name == "err":
        return list(node.arguments[:1])
    message, *others = node.arguments or (None,)
    if not isinstance(message, syntax.Name) or not _is_message(scope, message):
        return list(node.arguments)
    named = others and isinstance(others[0], syntax.Name | syntax.Text)
    return [it for it in others[1 if named else 0 :] if it is not None]


def _is_message(scope: Scope, node: syntax.Name) -> bool:
    found = scope.find(node.name)
    return node.name == scope.rpc if found is None else isinstance(found, Variable) and found.type == REPLY
