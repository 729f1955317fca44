"""Checking a program while something about it is not known: its method, or what its parameters are given.

What is not known is taken as given, in types that bring no errors where there are such: what is told then is wrong
whatever the .proto and the configuration say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.language import syntax
from appnet.language.checker import check
from appnet.language.declarations import Given
from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.scope import Findings, Part
from appnet.language.types import BOOL, BYTES, FLOAT, INT, STRING, UINT, MapType, Type, VecType

_SCALARS = (STRING, INT, FLOAT, UINT, BOOL, BYTES)
_KEYS = (STRING, INT, UINT, BOOL)
_TYPES: tuple[Type, ...] = (
    *_SCALARS,
    *(VecType(it) for it in _SCALARS),
    *(MapType(key, it) for key in _KEYS for it in _SCALARS),
)
_VALUES = {"string": Given(""), "int": Given(0), "uint": Given(0), "float": Given(0.0), "bool": Given(True)}
_FIELD_FUNCTIONS = frozenset({"get", "set", "byte_size"})
_PSEUDO_FIELDS = frozenset({("set", "dst"), ("get", "meta_status")})  # of every message, unless it has such fields
_TOLD_LATER = frozenset({"E025"})  # by a statement that is not checked yet, perhaps
_MAX_TRIALS = 400
_MAX_CONFLICTS = 3  # fields that are used in ways no type allows

_Unknown = tuple[Part, str]  # a parameter of `init`, or a field of a message by the handler that sees it
_Types = Mapping[_Unknown, Type]


def assumed_parameters(program: syntax.Program) -> dict[str, Given]:
    """What is taken as given of parameters without a default, where a state variable of the name tells the type."""
    state = {it.name.name: it.type.name for it in program.state}
    parameters = (it.name.name for it in program.parameters if it.default is None)
    return {it: _VALUES[state[it]] for it in parameters if state.get(it) in _VALUES}


def check_assuming(
    program: syntax.Program, method: MethodSignature | None, *, name: str, found: Findings | None = None
) -> list[Diagnostic]:
    """Errors and warnings of ``program``; parameters without a default, and without ``method`` all fields, are taken
    as given. All that was found with them is put into ``found``.
    """
    given = assumed_parameters(program)
    parameters = (it.name.name for it in program.parameters if it.default is None)
    unknown = [(Part.INIT, it) for it in parameters if it not in given]
    fields = [] if method else _fields(program)
    return _Search(program, method, name, [*unknown, *fields], given).best(found)


class _Search:
    """Finds types for ``unknown``, one after the other in the order of the program.

    A statement with a field that has no type yet is not checked, so an error stays whatever types come after.
    """

    def __init__(
        self,
        program: syntax.Program,
        method: MethodSignature | None,
        name: str,
        unknown: Sequence[_Unknown],
        given: Mapping[str, Given],
    ) -> None:
        self._program = program
        self._method = method
        self._name = name
        self._unknown = unknown
        self._given = given
        self._trials = 0

    def best(self, found: Findings | None) -> list[Diagnostic]:
        """What is told with the types that bring the fewest errors; where they are not found in reasonable time, what
        is wrong with any.
        """
        without = self._errors({})
        for allowed in range(without, without + _MAX_CONFLICTS + 1):
            types = self._extend({}, allowed)
            if types is not None:
                return self._check(types, found)
        return [it for it in self._check({}, found) if it.code not in _TOLD_LATER]

    def _extend(self, types: _Types, allowed: int) -> _Types | None:
        """``types`` and types for all that is left, with ``allowed`` errors at most; None where none are found."""
        if len(types) == len(self._unknown):
            return types
        for type_ in _TYPES:
            self._trials += 1
            if self._trials > _MAX_TRIALS:
                return None
            longer = {**types, self._unknown[len(types)]: type_}
            if self._errors(longer) <= allowed:
                found = self._extend(longer, allowed)
                if found is not None:
                    return found
        return None

    def _errors(self, types: _Types) -> int:
        errors = [it for it in self._check(types) if it.severity is Severity.ERROR]
        if len(types) == len(self._unknown):
            return len(errors)
        return sum(it.code not in _TOLD_LATER for it in errors)

    def _check(self, types: _Types, found: Findings | None = None) -> list[Diagnostic]:
        method = self._method or MethodSignature(
            "/Service/Method",
            self._schema("the request", Part.REQ, types),
            self._schema("the response", Part.RESP, types),
        )
        tried = {
            name: _VALUES.get(str(types.get((part, name), STRING)), Given(""))
            for part, name in self._unknown
            if part is Part.INIT
        }
        try:
            parameters = {**self._given, **tried}
            return list(check(self._program, method, name=self._name, parameters=parameters, found=found).warnings)
        except DiagnosticError as error:
            return error.diagnostics

    def _schema(self, name: str, part: Part, types: _Types) -> MessageSchema:
        fields = {path: Field(path, type_, (1,), str(type_)) for (its, path), type_ in types.items() if its is part}
        unknown = frozenset(path for its, path in self._unknown if its is part) - fields.keys()
        return MessageSchema(name, fields, unknown=unknown, assumed=True)


def _fields(program: syntax.Program) -> list[_Unknown]:
    """The fields that ``req`` and ``resp`` name, and those of replies, in the order of the program."""
    found: dict[_Unknown, None] = {}
    replies = set(syntax.names_given(program.req.body, "reply"))
    for part, block in ((Part.REQ, program.req), (Part.RESP, program.resp)):
        for call in syntax.applications(block.body):
            if call.function.name not in _FIELD_FUNCTIONS:
                continue
            match call.arguments:
                case (syntax.Name(name=block.rpc), syntax.Text() | syntax.Name() as field, *_):
                    path = field.value.decode("utf-8", "replace") if isinstance(field, syntax.Text) else field.name
                    if (call.function.name, path) not in _PSEUDO_FIELDS:
                        found[part, path] = None
                case (syntax.Name(name=name), syntax.Text() as field, _) if name in replies:
                    found[Part.RESP, field.value.decode("utf-8", "replace")] = None
    return list(found)
