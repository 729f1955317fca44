"""The syntax tree to the checked program, or everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.near import near_names, suggestion
from appnet.diagnostics.place import Label, Span
from appnet.diagnostics.remedy import Remedy, across, instead, near, without
from appnet.language import syntax, typed
from appnet.language.blocks import at_end_of_block
from appnet.language.declarations import Given, check_unavailable, parameter_values, state_declaration
from appnet.language.expressions import coerce, declared, expression, mismatch, no_value, type_of
from appnet.language.expressions import typed as typed_expression
from appnet.language.independent import independent_errors
from appnet.language.messages import MethodSignature
from appnet.language.operations.containers import not_in_place
from appnet.language.operations.metadata import warn_of_two_messages
from appnet.language.operations.registry import apply
from appnet.language.recovery import LOST
from appnet.language.scope import CheckError, Findings, Follows, Mention, Part, Scope
from appnet.language.statuses import STATUS_CODES
from appnet.language.typed import CheckedElement, CheckedState, StateValue, Variable
from appnet.language.types import BOOL, REPLY, SCALARS, STRING, UNIT, MapType, OptionType, PairType, VecType

_WAY = {Part.OPEN: "Down", Part.REQ: "Down", Part.RESP: "Up"}
_IN_HAND = {Part.OPEN: "call", Part.REQ: "request", Part.RESP: "response"}


def check(
    program: syntax.Program,
    method: MethodSignature,
    *,
    name: str,
    parameters: Mapping[str, Given] | None = None,
    found: Findings | None = None,
) -> CheckedElement:
    """``program`` as the element ``name`` of ``method``, with ``parameters`` given to its ``init``.

    Raises `DiagnosticError` with every error found; warnings are in the result, and all in ``found``.
    """
    found = Findings() if found is None else found
    state, lost = _state(program, found)
    lost |= program.lost_state - state.keys()
    blocks = {Part(name): block for name, block in program.blocks().items()}
    checkers = {part: _Body(Scope(part, it.rpc, method, state, found, apply, lost)) for part, it in blocks.items()}
    for it in checkers.values():
        it.scope.give_up(program.lost - state.keys())
    given = checkers[Part.INIT].parameters(program, parameters or {})
    bodies = {}
    for part, block in blocks.items():
        bodies[part] = checkers[part].handler(block)
        for later in checkers.values():
            later.scope.elsewhere = checkers[part].scope.locals()
    warn_of_two_messages(found)
    found.errors += program.errors
    if program.lost:  # what would have told the type, or set the name, is among what is lost, perhaps
        found.errors[:] = [it for it in found.errors if it.code not in {"E011", "E025"}]
    if found.errors:
        found.errors.sort(key=lambda it: (it.span.source != program.source, it.span.line, it.span.column))
        raise DiagnosticError(found.errors)
    return CheckedElement(
        name,
        program.span,
        method,
        tuple(state.values()),
        (*given, *bodies[Part.INIT]),
        bodies[Part.REQ],
        bodies[Part.RESP],
        bodies.get(Part.OPEN),
        bodies.get(Part.END),
        tuple(found.warnings),
    )


def _state(program: syntax.Program, found: Findings) -> tuple[dict[str, CheckedState], set[str]]:
    """The state variables by name, and the names of those whose type cannot be told."""
    state: dict[str, CheckedState] = {}
    lost: set[str] = set()
    first: dict[str, Span] = {}
    for declaration in program.state:
        name = declaration.name.name
        checked = state_declaration(declaration, found)
        if name in first:
            title, places = f"`{name}` is declared twice", [Label(first[name], "first declared here")]
            begin = declaration.decorators[0].span if declaration.decorators else declaration.span
            remedies, help_ = without(across(begin, declaration.type.span)), "remove one of them"
            error = CheckError("E012", title, declaration.span, "declared again", help_, places, remedies)
            found.errors.append(error.diagnostic)
            continue
        first[name] = declaration.span
        if checked is None:
            lost.add(name)
        else:
            state[name] = checked
            found.mentions.append(Mention(checked.span, checked))
    check_unavailable(program.state, found)
    return state, lost


@dataclass
class _Body:
    """Checks the statements of one block of the program."""

    scope: Scope

    def parameters(self, program: syntax.Program, given: Mapping[str, Given]) -> list[typed.Statement]:
        """What ``init``'s parameters start as: locals, or state variables of the same name."""
        statements: list[typed.Statement] = []
        for name, span, value in parameter_values(program, given, self.scope):
            if name in self.scope.lost:
                continue
            found = self.scope.find(name)
            if isinstance(found, StateValue):
                with self._guard():
                    statements.append(typed.SetState(found, coerce(value, found.type, span)))
            else:
                variable = self.scope.declare(name, span, value.type)
                statements.append(typed.SetLocal(variable, value))
        return statements

    def handler(self, block: syntax.HandlerBlock) -> tuple[typed.Statement, ...]:
        """The checked body; warns where a path through a handler gives no verdict."""
        errors = self.scope.found.errors
        before = len(errors)
        body = self.body(block.body)
        if any(it.code != "E025" for it in errors[before:]):  # what would have told is among them, perhaps
            errors[before:] = [it for it in errors[before:] if it.code != "E025"]
            return body
        for variable in self.scope.untold():
            title = f"the type of `{variable.name}` cannot be inferred"
            adds = f"set({variable.name}, size({variable.name}), x)"
            if variable.began is MapType:
                adds = f"set({variable.name}, key, value)"
            help_ = f"add something to it, {adds}, or remove it"
            errors.append(CheckError("E025", title, variable.span, help_=help_).diagnostic)
        if self.scope.part in _WAY and not errors and not typed.ends(body):
            self._warn_of_drop(block, body)
        return body

    def _warn_of_drop(self, block: syntax.HandlerBlock, body: tuple[typed.Statement, ...]) -> None:
        way = _WAY[self.scope.part]
        span, label = block.body[-1].span, "the path ends here"
        open_match = typed.falls_through(body)
        if open_match is not None:
            exhaustive = typed.is_exhaustive(open_match.arms)
            span, label = open_match.span, "in an arm of this" if exhaustive else "if no arm of this matches"
        title = f"a path through `{self.scope.part.value}` ends without `send`: it drops the RPC"
        help_, send = f"end it with send({block.rpc}, {way}) or send(err(…), Up)", f"send({block.rpc}, {way})"
        remedies = at_end_of_block(block.span, send)
        self.scope.found.warn("W001", title, span, label, help_, remedies=remedies)

    def body(self, statements: tuple[syntax.Statement, ...]) -> tuple[typed.Statement, ...]:
        checked: list[typed.Statement] = []
        for index, statement in enumerate(statements):
            if typed.ends(tuple(checked[-1:])) and not self.scope.gave_up(LOST):
                help_ = "every path above ends with `send`; remove this, or move it up"
                last = Label(statements[index - 1].span, "every path ends here")
                self.scope.found.warn(
                    "W002", "this is never reached", statement.span, "", help_, [last], _without(statements[index:])
                )
                break
            targets = statement.targets if isinstance(statement, syntax.Assign) else ()
            with self._guard(targets, _values(statement)):
                checked.extend(self._with_hoisted(statement))
        return tuple(checked)

    @contextmanager
    def _guard(
        self, targets: tuple[syntax.Name, ...] = (), values: tuple[syntax.Expression, ...] = ()
    ) -> Iterator[None]:
        """Notes an error, and what else is wrong in ``targets`` and ``values``, so that what comes after is checked."""
        reached, self.scope.reached = self.scope.reached, {}
        try:
            yield
        except (Follows, CheckError) as error:
            errors = [error.diagnostic] if isinstance(error, CheckError) else []
            errors += independent_errors(self.scope, values)
            self.scope.found.errors += dict.fromkeys(errors)
            self.scope.give_up(target.name for target in targets)
        finally:
            self.scope.reached = reached

    def _with_hoisted(self, statement: syntax.Statement) -> list[typed.Statement]:
        outer, self.scope.hoisted = self.scope.hoisted, []
        try:
            checked = self._statement(statement)
            return [*self.scope.hoisted, *checked]
        finally:
            self.scope.hoisted = outer

    def _statement(self, statement: syntax.Statement) -> list[typed.Statement]:
        match statement:
            case syntax.Pass():
                return []
            case syntax.Assign(targets=(target,)):
                return [self._assign(target, statement.value)]
            case syntax.Assign():
                return self._take_apart(statement)
            case syntax.Evaluate():
                return self._evaluate(statement)
            case syntax.Send():
                return [self._send(statement)]
            case syntax.MatchOn():
                return self._match(statement)
            case syntax.ForEach():
                return self._foreach(statement)

    # --- assignments ---

    def _assign(self, target: syntax.Name, node: syntax.Expression) -> typed.Statement:
        found = self._known(target)
        if found is None:
            with self._guard():
                self.scope.check_free(target.name, target.span)
        if isinstance(node, syntax.Apply) and node.function.name == "reply":
            return self._begin_reply(target, found, node)
        if isinstance(found, StateValue):
            self._warn_of_excess(node, found)
            return typed.SetState(found, coerce(expression(self.scope, node, found.type), found.type, node.span, found))
        if isinstance(found, Variable):
            if syntax.is_empty(node) and found.type is None and found.began is _began(node):
                return typed.SetLocal(found, typed.Empty(found))
            value, origin = self._remember_origin(expression(self.scope, node, found.type), node.span)
            self._rebind(found, target, origin)
            return typed.SetLocal(found, _as_before(value, found, node.span))
        if syntax.is_empty(node):
            variable = self.scope.declare(target.name, target.span, None)
            variable.began = _began(node)
            return typed.SetLocal(variable, typed.Empty(variable))
        value = expression(self.scope, node)
        if type_of(value, node.span) == UNIT:
            raise no_value(node.span)
        value, origin = self._remember_origin(value, node.span)
        variable = self.scope.declare(target.name, target.span, value.type)
        variable.origin, variable.made_by = origin, value.op if isinstance(value, typed.Operate) else ""
        return typed.SetLocal(variable, value)

    def _begin_reply(
        self, target: syntax.Name, found: Variable | StateValue | None, node: syntax.Apply
    ) -> typed.Statement:
        self._can_reply(node)
        if found is None:
            variable = self.scope.declare(target.name, target.span, REPLY)
        elif isinstance(found, Variable) and found.type == REPLY:
            variable = found
        else:
            title = f"`{target.name}` already has another value"
            first = Label(found.span, "its first value is here")
            raise CheckError("E035", title, target.span, "", "use another name for the reply", [first])
        if self.scope.reply is not None and self.scope.reply.name != variable.name:
            first = Label(self.scope.reply.span, "the first reply is here")
            title, label = "a handler has one reply", "a second one"
            raise CheckError("E035", title, target.span, label, "use one name for it", [first])
        self.scope.reply = variable
        return typed.NewReply()

    def _can_reply(self, node: syntax.Apply) -> None:
        if node.arguments:
            help_ = "write reply(), and set its fields: set(r, 'field', value)"
            raise CheckError("E022", "`reply` takes no arguments", node.span, help_=help_)
        if self.scope.part is not Part.REQ:
            help_ = "reply in `req`"
            if self.scope.part is Part.RESP:
                help_ += "; in `resp`, change the response: set(rpc, 'field', value)"
            raise CheckError("E035", f"`{self.scope.part.value}` cannot reply", node.span, help_=help_)
        if self.scope.signature.client_streaming or self.scope.signature.server_streaming:
            title = f"`{self.scope.signature.full_name}` is a streaming method, which does not allow replies"
            raise CheckError("E035", title, node.span, help_="refuse the message instead: send(err('text'), Up)")

    def _known(self, name: syntax.Name) -> Variable | StateValue | None:
        if name.name in self.scope.lost:
            raise Follows
        found = self.scope.find(name.name)
        if found is not None:
            self.scope.mention(name.span, found)
        return found

    def _warn_of_excess(self, node: syntax.Expression, state: StateValue) -> None:
        match node:
            case syntax.VecOf(items=held) | syntax.MapOf(entries=held):
                count = len(held)
            case _:
                count = 0
        declaration = self.scope.state[state.name]
        if count > declaration.capacity:
            title = f"`{state.name}` keeps {declaration.capacity} of these {count}"
            help_ = f"raise it, `@capacity({count})`, or remove the first items"
            self.scope.found.warn("W007", title, node.span, "only the last ones stay", help_)

    def _remember_origin(self, value: typed.Value, span: Span) -> tuple[typed.Value, typed.Origin | None]:
        """Keeps the key of ``get(map, key)`` on a state Map of containers: what is got may be changed in place."""
        match value:
            case typed.Operate(op="map_get", arguments=(StateValue() as map_, key), type=OptionType(item=item)):
                if item in SCALARS or isinstance(item, PairType):
                    return value, None
                variable = Variable("key", span, key.type)
                self.scope.hoisted.append(typed.SetLocal(variable, key))
                local = typed.Local(variable)
                return replace(value, arguments=(map_, local)), typed.Origin(map_, local, span)
            case typed.Local(variable=Variable(type=OptionType(), origin=origin)):
                return value, origin
            case _:
                return value, None

    def _rebind(self, variable: Variable, target: syntax.Name, origin: typed.Origin | None) -> None:
        """Another value from here on; in a block of its own, on some paths alone."""
        if self.scope.is_of_this_block(target.name):
            variable.origin = origin
            return
        for it in (variable.origin, origin):
            if it is not None:
                if it.changed:  # and may be again, in the next turn of a loop
                    raise not_in_place(variable, it, target.span)
                it.otherwise = target.span
        variable.origin = variable.origin or origin

    def _take_apart(self, statement: syntax.Assign) -> list[typed.Statement]:
        value = expression(self.scope, statement.value)
        type_ = type_of(value, statement.value.span)
        if not isinstance(type_, PairType):
            if isinstance(type_, OptionType):
                raise mismatch(type_, type_.item, statement.value.span)
            raise CheckError(
                "E020",
                f"{type_} cannot be unpacked",
                statement.value.span,
                f"this is {type_}",
                "only pairs can be unpacked",
            )
        whole = Variable("pair", statement.span, type_)
        checked: list[typed.Statement] = [typed.SetLocal(whole, value)]
        for name, op, part in zip(statement.targets, ("first", "second"), (type_.first, type_.second), strict=True):
            with self._guard((name,)):
                checked.append(self._bind(name, typed.Operate(op, (typed.Local(whole),), part)))
        return checked

    def _bind(self, name: syntax.Name, value: typed.Value) -> typed.Statement:
        found = self._known(name)
        if isinstance(found, StateValue):
            return typed.SetState(found, coerce(value, found.type, name.span))
        if isinstance(found, Variable):
            self._rebind(found, name, None)
            return typed.SetLocal(found, _as_before(value, found, name.span))
        return typed.SetLocal(self.scope.declare(name.name, name.span, value.type), value)

    def _evaluate(self, statement: syntax.Evaluate) -> list[typed.Statement]:
        value = expression(self.scope, statement.value)
        if not isinstance(statement.value, syntax.Name | syntax.Apply):
            help_, remedies = "assign it, with one `=`, or remove it", instead(statement.span, "pass")
            self.scope.found.warn("W005", "this value is not used", statement.span, help_=help_, remedies=remedies)
        if isinstance(value, typed.Operate) and value.op == "nothing":
            return []
        if isinstance(value, typed.Operate):
            return [typed.Run(value)]
        if isinstance(statement.value, syntax.Name):
            meant = near_names(statement.value.name, ["pass"])
            help_ = "did you mean `pass`?" if meant else "assign it, or remove it"
            remedies = instead(statement.span, "pass")
            raise CheckError("E003", "a value on its own does nothing", statement.span, help_=help_, remedies=remedies)
        return []

    # --- verdicts ---

    def _send(self, node: syntax.Send) -> typed.Statement:
        if self.scope.part not in _WAY:
            title = "`init` has no RPC to send" if self.scope.part is Part.INIT else "`end` has nothing to send"
            raise CheckError("E031", title, node.span, help_="send in `open`, `req` or `resp`")
        if self.scope.loops:
            help_ = "store the result in a variable, and send after the loop"
            raise CheckError("E031", "`send` inside foreach", node.span, help_=help_)
        if isinstance(node.value, syntax.Apply) and node.value.function.name == "err":
            return self._refuse(node, node.value)
        if isinstance(node.value, syntax.Apply) and node.value.function.name == "reply":
            self._can_reply(node.value)
            self.scope.hoisted.append(typed.NewReply())
            return self._answer(node)
        if isinstance(node.value, syntax.Name) and self.scope.gave_up(node.value.name):
            raise Follows
        found = self._known(node.value) if isinstance(node.value, syntax.Name) else None
        if isinstance(found, Variable) and found.type == REPLY:
            return self._answer(node)
        way = _WAY[self.scope.part]
        if not isinstance(node.value, syntax.Name) or node.value.name != self.scope.rpc:
            help_ = f"write send({self.scope.rpc}, {way}) or send(err('text'), Up)"
            title, remedies = "only the RPC, an error or a reply can be sent", instead(node.value.span, self.scope.rpc)
            raise CheckError("E031", title, node.value.span, help_=help_, remedies=remedies)
        if node.direction not in {way.lower(), ""}:
            title = f"`{self.scope.part.value}` sends the {_IN_HAND[self.scope.part]} {way}"
            help_, remedies = f"write send({self.scope.rpc}, {way})", instead(node.direction_span, way)
            raise CheckError("E030", title, node.direction_span, "wrong direction", help_, remedies=remedies)
        return typed.Forward()

    def _answer(self, node: syntax.Send) -> typed.Statement:
        if node.direction == "down":
            span, remedies = node.direction_span, instead(node.direction_span, "Up")
            raise CheckError("E030", "a reply goes back to the caller", span, help_="write Up", remedies=remedies)
        return typed.Answer()

    def _refuse(self, node: syntax.Send, err: syntax.Apply) -> typed.Statement:
        with self._guard():
            if node.direction == "down":
                span, remedies = node.direction_span, instead(node.direction_span, "Up")
                raise CheckError("E030", "an error goes back to the caller", span, help_="write Up", remedies=remedies)
        if len(err.arguments) not in {1, 2}:
            help_ = "write err('text') or err('text', PERMISSION_DENIED)"
            raise CheckError("E022", "`err` takes a text and, optionally, a code", err.span, help_=help_)
        code = STATUS_CODES["ABORTED"]
        with self._guard():
            code = _code(err.arguments[1]) if len(err.arguments) == 2 else code
        return typed.Refuse(typed_expression(self.scope, err.arguments[0], STRING), code, err.span)

    # --- match and foreach ---

    def _match(self, node: syntax.MatchOn) -> list[typed.Statement]:
        with self._guard(values=(node.subject,)):
            subject = expression(self.scope, node.subject)
            if type_of(subject, node.subject.span) == UNIT:
                raise no_value(node.subject.span)
            subject, origin = self._remember_origin(subject, node.subject.span)
            return [typed.Match(node.subject.span, subject, self._arms(node, subject, origin))]
        for arm in node.arms:  # the subject is wrong; what the arms do is looked at all the same
            with self.scope.block():
                if isinstance(arm.case, syntax.SomeCase) and arm.case.name is not None:
                    self.scope.give_up([arm.case.name.name])
                self.body(arm.body)
        return []

    def _arms(self, node: syntax.MatchOn, subject: typed.Value, origin: typed.Origin | None) -> tuple[typed.Arm, ...]:
        arms: list[typed.Arm] = []
        seen: dict[object, Span] = {}
        for arm in node.arms:
            if typed.leave_nothing(seen) and not self.scope.gave_up(LOST):
                help_ = "the arms above match everything; remove this one, or move it up"
                last = Label(next(reversed(seen.values())), "this matches everything")
                self.scope.found.warn("W002", "this arm is never reached", arm.case.span, "", help_, [last])
                break
            checked = self._arm(arm, subject, origin)
            if checked is not None:
                first = seen.setdefault(typed.fitted(checked.pattern), arm.case.span)
                if first is not arm.case.span:
                    help_ = "an arm above matches the same values; remove one of them"
                    label = Label(first, "this one matches first")
                    self.scope.found.warn("W002", "this arm is never reached", arm.case.span, "", help_, [label])
                arms.append(checked)
        return tuple(arms)

    def _arm(self, arm: syntax.MatchArm, subject: typed.Value, origin: typed.Origin | None) -> typed.Arm | None:
        """The arm; None where its pattern is wrong."""
        named = (arm.case.name,) if isinstance(arm.case, syntax.SomeCase) and arm.case.name is not None else ()
        pattern = None
        with self.scope.block():
            with self._guard(named):
                pattern = self._pattern(arm.case, subject, origin)
            body = self.body(arm.body)
        return typed.Arm(pattern, body) if pattern is not None else None

    def _pattern(self, case: syntax.Case, subject: typed.Value, origin: typed.Origin | None) -> typed.ArmPattern:
        type_ = subject.type
        if isinstance(case, syntax.AnyCase):
            return typed.AnyArm()
        if isinstance(case, syntax.LiteralCase):
            if type_ not in SCALARS:
                help_ = "match `Some(x)` and `None`" if isinstance(type_, OptionType) else "compare the value in it"
                raise CheckError("E023", f"a literal does not match {type_}", case.span, help_=help_)
            if isinstance(case.value, syntax.Truth) and type_ != BOOL:
                help_ = "compare it with something: == , != , <"
                raise CheckError("E020", f"expected bool, found {type_}", case.span, help_=help_)
            value = typed_expression(self.scope, case.value, type_)
            if not isinstance(value, typed.Literal):
                raise mismatch(type_, value.type, case.span)
            return typed.LiteralArm(value)
        if not isinstance(type_, OptionType):
            help_ = f"the matched value is {type_} and always present: match literals and `_`"
            raise CheckError(
                "E023", "`Some` and `None` match options only, such as the result of `get`", case.span, help_=help_
            )
        if isinstance(case, syntax.NoneCase):
            return typed.NoneArm()
        if case.name is None:
            return typed.SomeArm(None)
        variable = self.scope.declare(case.name.name, case.name.span, type_.item)
        variable.origin = origin
        return typed.SomeArm(variable)

    def _foreach(self, node: syntax.ForEach) -> list[typed.Statement]:
        with self._guard(values=(node.items,)):
            items = expression(self.scope, node.items)
            type_ = type_of(items, node.items.span)
            _check_names(node, items)
            with self.scope.loop():
                if isinstance(type_, MapType):
                    return [self._foreach_entry(node, items, type_)]
                assert isinstance(type_, VecType)
                item = self.scope.declare(node.names[0].name, node.names[0].span, type_.item)
                return [typed.ForEach(item, items, self.body(node.body))]
        with self.scope.loop():  # what is gone over is wrong; what is done is looked at all the same
            self.scope.give_up(it.name for it in node.names)
            self.body(node.body)
        return []

    def _foreach_entry(self, node: syntax.ForEach, map_: typed.Value, type_: MapType) -> typed.ForEach:
        pair = PairType(type_.key, type_.value)
        entry = Variable("entry", node.items.span, pair)
        parts = zip(node.names, ("first", "second"), (type_.key, type_.value), strict=True)
        taken = tuple(
            typed.SetLocal(
                self.scope.declare(name.name, name.span, part), typed.Operate(op, (typed.Local(entry),), part)
            )
            for name, op, part in parts
        )
        entries = typed.Operate("map_entries", (map_,), VecType(pair))
        return typed.ForEach(entry, entries, (*taken, *self.body(node.body)))


def _as_before(value: typed.Value, variable: Variable, span: Span) -> typed.Value:
    """The value as what the local has been since it was first assigned; tells its type where nothing has yet."""
    want = variable.type
    if want is None:
        want = type_of(value, span)
        coerce(typed.Local(variable), want, span)
    return coerce(value, want, span, variable)


def _began(node: syntax.Expression) -> typed.ContainerKind:
    """What an empty literal is."""
    return MapType if isinstance(node, syntax.MapOf) else VecType


def _check_names(node: syntax.ForEach, items: typed.Value) -> None:
    """Raises `CheckError` where a loop over the items names other things than they have."""
    names, type_, places = ", ".join(it.name for it in node.names), items.type, declared(items)
    if not isinstance(type_, VecType | MapType):
        title, label, help_ = "foreach needs a Vec or a Map", f"this is {type_}", "name a Vec or a Map"
        if isinstance(type_, OptionType):
            help_ = "match it, `Some(x) =>` … `None =>` …, and loop in the `Some` arm"
        raise CheckError("E020", title, node.items.span, label, help_, places)
    wanted = 2 if isinstance(type_, MapType) else 1
    if len(node.names) < wanted:
        help_ = f"name the key and the value: lambda({names}, value)"
        raise CheckError(
            "E022", "an entry of a Map is a key and a value", node.names[0].span, "one name", help_, places
        )
    if len(node.names) > wanted:
        help_ = f"use one name: lambda({node.names[0].name})"
        if isinstance(type_, VecType) and isinstance(type_.item, PairType):
            help_ = f"name the pair and unpack it: lambda(pair), then ({names}) = pair"
        raise CheckError("E022", f"an item of {type_} is one value", node.names[1].span, "a second name", help_, places)
    if len({it.name for it in node.names}) < wanted:
        title = f"`{node.names[0].name}` names the key and the value"
        raise CheckError("E012", title, node.names[1].span, help_="give each its own name")


def _without(statements: Sequence[syntax.Statement]) -> tuple[Remedy, ...]:
    """The statements are left out, where none of them holds a block, whose end is not known."""
    if any(isinstance(it, syntax.MatchOn | syntax.ForEach) for it in statements):
        return ()
    first, *others = (it.span for it in statements)
    return without(first, *others)


def _values(statement: syntax.Statement) -> tuple[syntax.Expression, ...]:
    """The expressions in the statement itself that are values."""
    match statement:
        case syntax.Assign(value=value) | syntax.Evaluate(value=value) | syntax.Send(value=value):
            if isinstance(value, syntax.Apply) and value.function.name in {"err", "reply"}:
                return value.arguments[:1]
            return () if isinstance(statement, syntax.Send) and isinstance(value, syntax.Name) else (value,)
        case _:
            return ()  # those that hold blocks see to their own


def _code(node: syntax.Expression) -> int:
    if isinstance(node, syntax.Name) and node.name.upper() in STATUS_CODES:
        code = STATUS_CODES[node.name.upper()]
    elif isinstance(node, syntax.Number) and isinstance(node.value, int):
        code = node.value
    else:
        name = node.name if isinstance(node, syntax.Name) else ""
        codes = list(STATUS_CODES)[1:]
        help_, remedies = suggestion(name, codes, what="codes"), near(node.span, name, codes) if name else ()
        if isinstance(node, syntax.Text) and node.value.decode("utf-8", "replace").upper() in STATUS_CODES:
            plain = node.value.decode().upper()
            help_, remedies = f"write it without quotes: {plain}", instead(node.span, plain)
        raise CheckError("E032", "not a gRPC status code", node.span, help_=help_, remedies=remedies)
    if not 1 <= code < len(STATUS_CODES):
        raise CheckError("E032", f"status code {code} is not an error", node.span, help_="use one from 1 to 16")
    return code
