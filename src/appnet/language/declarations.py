"""State variables with their decorators, and the parameters of ``init``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Label, Span
from appnet.diagnostics.remedy import Edit, Remedy, near, without
from appnet.language import syntax
from appnet.language.expressions import check_key, expression
from appnet.language.independent import independent_errors
from appnet.language.scope import CheckError, Findings, Follows, Scope
from appnet.language.typed import CheckedState, Literal, StateValue
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    NUMERIC,
    SCALARS,
    STRING,
    UINT,
    MapType,
    PairType,
    Type,
    VecType,
)

_SCALARS = {type_.name: type_ for type_ in SCALARS} | {"instant": INSTANT}  # as some public programs have it
_COMBINERS = ("sum", "max", "min", "LWW", "union")
_MAX_CAPACITY = 1 << 24
_MAX_TYPE_DEPTH = 8
_ANY = MapType(STRING, INT)  # of a variable whose type cannot be told: every decorator fits it
DECORATORS = {
    "consistency": "strong or weak",
    "combiner": ", ".join(_COMBINERS),
    "persistence": "true or false",
    "unavailable": "refuse or local",
    "capacity": f"a number from 1 to {_MAX_CAPACITY}",
}
"""Every decorator, and what it takes."""


_TAKEN = {
    "consistency": ("strong", "weak"),
    "combiner": _COMBINERS,
    "persistence": ("true", "false"),
    "unavailable": ("refuse", "local"),
    "capacity": (),
}
_COMBINES = {
    "sum": "numbers, and Maps of them",
    "max": "numbers and Instants, and Maps of them",
    "min": "numbers and Instants, and Maps of them",
    "union": "Maps and Vecs",
}
"""What each combiner can merge, where that is not everything."""


@dataclass(frozen=True)
class Given:
    """A parameter's value as a configuration gives it, and where."""

    value: str | int | float | bool
    span: Span | None = None


def state_declaration(node: syntax.StateDeclaration, found: Findings) -> CheckedState | None:
    """The declared variable; None where its type cannot be told. What is wrong is noted in ``found``."""
    type_ = _type(node.type, found)
    checked = CheckedState(node.name.name, node.span, type_ or _ANY)
    seen: dict[str, Span] = {}
    for decorator in node.decorators:
        try:
            checked = _decorate(checked, decorator, seen)
        except CheckError as error:
            found.errors.append(error.diagnostic)
    if type_ is not None:
        checked = _combining(checked, node, found)
    _check_sharing(checked, node, found)
    return checked if type_ is not None else None


def _combining(state: CheckedState, node: syntax.StateDeclaration, found: Findings) -> CheckedState:
    """The variable with a combiner that can merge its type: the last write counts where the declared one cannot."""
    combiner = state.combiner
    if combiner is None or state.consistency != "weak" or _combines(combiner, state.type):
        return state
    decorator = next(it for it in node.decorators if it.name.name == "combiner")
    title, label = f"`{combiner}` cannot merge {state.type}", f"it merges {_COMBINES[combiner]}"
    help_ = "`LWW` is used, with which the last write counts: write that, or change the type"
    declared = [Label(state.span, f"declared as {state.type}")]
    remedies = (Remedy("Write `LWW`", (Edit(decorator.argument.span, "LWW"),)),)
    found.warn("W008", title, decorator.argument.span, label, help_, declared, remedies)
    return replace(state, combiner="LWW")


def _combines(combiner: str, type_: Type) -> bool:
    if combiner == "union":
        return isinstance(type_, MapType | VecType)
    merged = type_.value if isinstance(type_, MapType) else type_
    return combiner == "LWW" or merged in NUMERIC or (merged == INSTANT and combiner != "sum")


def _check_sharing(state: CheckedState, node: syntax.StateDeclaration, found: Findings) -> None:
    """Notes decorators of shared state on state that each instance has for itself."""
    if state.consistency != "local":
        return
    for it in node.decorators:
        name = it.name.name
        if (name == "persistence" and state.persistent) or (name == "unavailable" and state.unavailable):
            title, label = f"`@{name}` has no effect on `{state.name}`", "each instance keeps its own, until it ends"
            help_ = f"share it between instances, `@consistency(strong)`, or remove `@{name}`"
            found.warn("W009", title, it.span, label, help_, remedies=without(it.span))


def check_unavailable(declarations: Sequence[syntax.StateDeclaration], found: Findings) -> None:
    """Notes where variables of one element are to answer calls in different ways while their store is away."""
    said = [
        it
        for one in declarations
        for it in one.decorators
        if it.name.name == "unavailable" and isinstance(it.argument, syntax.Name)
    ]
    for it in said[1:]:
        first, here = said[0].argument, it.argument
        assert isinstance(first, syntax.Name)
        assert isinstance(here, syntax.Name)
        if first.name != here.name:
            title, help_ = "an element has one `@unavailable`", "write the same for all of its state, or say it once"
            places, label = [Label(first.span, f"`{first.name}` here")], f"`{here.name}` here"
            error = CheckError(
                "E040", title, here.span, label, help_, places, near(here.span, first.name, [first.name])
            )
            found.errors.append(error.diagnostic)


def _decorate(state: CheckedState, decorator: syntax.Decorator, seen: dict[str, Span]) -> CheckedState:
    name, argument = decorator.name.name, decorator.argument
    if name in seen:
        first = Label(seen[name], "the first is here")
        title, help_, remedies = f"`@{name}` appears twice", "remove one of them", without(decorator.span)
        raise CheckError("E040", title, decorator.span, "", help_, [first], remedies)
    seen[name] = decorator.span
    match name, argument:
        case "consistency", syntax.Name(name=("strong" | "weak") as level):
            return replace(state, consistency=level)
        case "combiner", syntax.Name(name=combiner) if combiner in _COMBINERS:
            return replace(state, combiner=combiner)
        case "persistence", syntax.Truth(value=value):
            return replace(state, persistent=value)
        case "unavailable", syntax.Name(name=("refuse" | "local") as policy):
            return replace(state, unavailable=policy)
        case "capacity", syntax.Number(value=int(value)) if 1 <= value <= _MAX_CAPACITY:
            if not isinstance(state.type, MapType | VecType):
                title = f"{state.type} has no capacity"
                declared = Label(state.span, f"declared as {state.type}")
                remedies = without(decorator.span)
                raise CheckError("E040", title, decorator.span, "", "only Maps and Vecs have one", [declared], remedies)
            return replace(state, capacity=value)
        case _:
            raise _bad_decorator(decorator)


def _bad_decorator(decorator: syntax.Decorator) -> CheckError:
    name = decorator.name.name
    if name not in DECORATORS:
        return CheckError(
            "E040",
            f"there is no decorator `@{name}`",
            decorator.name.span,
            help_=suggestion(name, DECORATORS, what="decorators"),
            remedies=near(decorator.name.span, name, DECORATORS),
        )
    span, written = decorator.argument.span, decorator.argument
    meant = near(span, written.name, _TAKEN[name]) if isinstance(written, syntax.Name) else ()
    title, help_ = f"invalid value for `@{name}`", f"it takes {DECORATORS[name]}"
    return CheckError("E040", title, span, help_=help_, remedies=meant)


def _type(node: syntax.TypeName, found: Findings, depth: int = 0) -> Type | None:
    """The type; None where it, or a part of it, is none, which is noted in ``found``."""
    if depth > _MAX_TYPE_DEPTH:
        title, help_ = f"a type nested more than {_MAX_TYPE_DEPTH} deep", "use two variables"
        found.errors.append(CheckError("E021", title, node.span, help_=help_).diagnostic)
        return None
    parts = [_type(it, found, depth + 1) for it in node.parts]
    try:
        return _made_of(node, parts)
    except CheckError as error:
        found.errors.append(error.diagnostic)
        return None


def _made_of(node: syntax.TypeName, parts: list[Type | None]) -> Type | None:
    wanted = {"Map": 2, "Vec": 1, "pair": 2}.get(node.name, 0)
    if node.name not in {*_SCALARS, "Map", "Vec", "pair"}:
        types = [*_SCALARS, "Map", "Vec"]
        help_, title = suggestion(node.name, types, what="types"), f"there is no type `{node.name}`"
        meant = near(node.span, node.name, types) if not node.parts else ()
        raise CheckError("E021", title, node.span, help_=help_, remedies=meant)
    if len(parts) != wanted:
        write = {"Map": "Map<string, int>", "Vec": "Vec<int>"}.get(node.name, node.name)
        raise CheckError("E021", f"`{node.name}` takes {wanted} types", node.span, help_=f"write {write}")
    known = [it for it in parts if it is not None]
    if node.name == "Map" and parts[0] is not None:
        check_key(parts[0], node.parts[0].span)
    if len(known) < len(parts):
        return None
    if node.name == "Map":
        return MapType(*known)
    if node.name == "pair":
        return PairType(*known)
    return VecType(*known) if node.name == "Vec" else _SCALARS[node.name]


def parameter_values(
    program: syntax.Program, given: Mapping[str, Given], scope: Scope
) -> list[tuple[str, Span, Literal]]:
    """Name, place and value of each parameter of ``init``; what is wrong with them is noted in the scope."""
    declared = {it.name.name: it for it in program.parameters}
    errors = scope.found.errors
    for name, value in given.items():
        if name not in declared and name not in program.lost:
            title = f"the element has no parameter `{name}`"
            help_ = suggestion(name, declared, what="parameters") if declared else "its `init` takes none"
            init = [Label(program.init.span, "its `init` is here")] if value.span is not None else []
            span = value.span or program.init.span
            key = value.span and replace(value.span, end_line=value.span.line, end_column=value.span.column + len(name))
            meant = near(key, name, declared) if key else ()
            errors.append(CheckError("E041", title, span, "", help_, init, meant).diagnostic)
    values = []
    for name, parameter in declared.items():
        scope.reached = {}
        again = _overwriting(program.init.body, name)
        if again is not None:
            _warn_of_overwriting(parameter, again, scope, alone=len(program.init.body) == 1)
            if parameter.default is None and name not in given:
                continue
        try:
            values.append((name, parameter.span, _value(parameter, given.get(name), scope)))
        except (CheckError, Follows) as error:
            errors += [error.diagnostic] if isinstance(error, CheckError) else []
            errors += independent_errors(scope, [parameter.default] if parameter.default is not None else [])
            scope.give_up([name])
    return values


def _overwriting(init: tuple[syntax.Statement, ...], name: str) -> syntax.Assign | None:
    """The assignment that gives the parameter another value before anything has used the one that was given."""
    first = next((it for it in init if name in syntax.names_in(it)), None)
    if not isinstance(first, syntax.Assign) or name in syntax.names_in(first.value):
        return None
    return first


def _warn_of_overwriting(parameter: syntax.Parameter, again: syntax.Assign, scope: Scope, *, alone: bool) -> None:
    name = parameter.name.name
    told = isinstance(again.value, syntax.Number) and len(again.targets) == 1
    number = again.value.value if isinstance(again.value, syntax.Number) and told else "…"
    title = f"`init` overwrites its parameter `{name}`"
    help_ = f"remove this line and write init({name} = {number}), so that a configuration can set it"
    places = [Label(parameter.span, "the value passed here is not used")]
    edits = (Edit(parameter.span, f"{name} = {number}"), Edit(again.span, "pass" if alone else ""))
    remedies = (Remedy(f"Write `init({name} = {number})`", edits),) if told else ()
    scope.found.warn("W020", title, again.span, "whatever its value", help_, places, remedies)


def _value(parameter: syntax.Parameter, given: Given | None, scope: Scope) -> Literal:
    found = scope.find(parameter.name.name)
    state = found.type if isinstance(found, StateValue) else None
    default = expression(scope, parameter.default, state) if parameter.default is not None else None
    if default is not None and not isinstance(default, Literal):
        help_ = "write a number, a string, true or false"
        raise CheckError("E041", "a default is a literal", parameter.span, help_=help_)
    if given is not None:
        wanted = state or (default.type if default is not None else None)
        return _convert(parameter, given, wanted)
    if default is None:
        name = parameter.name.name
        title = f"parameter `{name}` has neither a value nor a default"
        help_ = f"set it in the configuration's `parameters` or with --parameter, or write init({name} = …)"
        raise CheckError("E041", title, parameter.span, help_=help_)
    return default


def _convert(parameter: syntax.Parameter, given: Given, want: Type | None) -> Literal:
    value = given.value
    try:
        if want == BOOL or (want is None and isinstance(value, bool)):
            if str(value).lower() in {"true", "false"}:
                return Literal(str(value).lower() == "true", BOOL)
        elif isinstance(value, bool):
            pass
        elif want == FLOAT or (want is None and isinstance(value, float)):
            return Literal(float(value), FLOAT)
        elif want in {INT, UINT} or (want is None and isinstance(value, int)):
            number = int(value) if not isinstance(value, float) else None
            low = 0 if want == UINT else -(1 << 63)
            if number is not None and low <= number < low + (1 << 64):
                return Literal(number, want or INT)
        elif want in {STRING, BYTES, None}:
            return Literal(str(value).encode(), want or STRING)
    except (ValueError, OverflowError):
        pass
    title = f"{value!r} is not a valid value for parameter `{parameter.name.name}`"
    declared = [Label(parameter.span, "the parameter is here")] if given.span is not None else []
    raise CheckError("E041", title, given.span or parameter.span, "", f"use a value of type {want}", declared)
