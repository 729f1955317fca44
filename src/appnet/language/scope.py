"""Where the checker stands: the element's state, the names in scope, the message in hand, what was found so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.diagnostics.near import near_names, suggestion
from appnet.diagnostics.place import Label, Span
from appnet.diagnostics.remedy import Remedy, instead, near
from appnet.language import syntax
from appnet.language.messages import Field, MessageSchema, MethodSignature
from appnet.language.typed import CheckedState, Statement, StateValue, Value, Variable
from appnet.language.types import Type

_NOTHING = "there is no null: `get` returns an option; match it with `Some(x)` and `None`"
_CONSTANTS = {
    "true": "write `true`",
    "false": "write `false`",
    **dict.fromkeys(("none", "null", "nil"), _NOTHING),
}


class CheckError(Exception):
    """One diagnostic that ends the checking of the statement at hand; the next statement is checked all the same."""

    def __init__(
        self,
        code: str,
        title: str,
        span: Span,
        label: str = "",
        help_: str = "",
        places: Iterable[Label] = (),
        remedies: tuple[Remedy, ...] = (),
    ) -> None:
        super().__init__(title)
        self.diagnostic = Diagnostic(code, Severity.ERROR, title, span, label, help_, tuple(places), remedies)


class Follows(Exception):  # noqa: N818  # nothing is wrong here
    """What stands here cannot be checked because of an error that has been told already."""


class Part(Enum):
    """The block of the program that is being checked."""

    INIT = "init"
    OPEN = "open"
    REQ = "req"
    RESP = "resp"
    END = "end"


@dataclass(frozen=True)
class Mention:
    """A name in the program's text, and what it stands for there."""

    span: Span
    target: Variable | CheckedState | Field


@dataclass
class Findings:
    """What a check found: what is wrong, and what names stand for."""

    errors: list[Diagnostic] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)
    metadata: list[tuple[Part, str, bytes, Span]] = field(default_factory=list)

    def note_metadata(self, part: Part, what: str, key: bytes | None, span: Span) -> None:
        """Remembers that a block reads or sets metadata of a lower-case key that is written out."""
        if key is not None:
            self.metadata.append((part, what, key, span))

    def warn(
        self,
        code: str,
        title: str,
        span: Span,
        label: str = "",
        help_: str = "",
        places: Iterable[Label] = (),
        remedies: tuple[Remedy, ...] = (),
    ) -> None:
        """Notes something that will run, but perhaps not as meant."""
        self.warnings.append(Diagnostic(code, Severity.WARNING, title, span, label, help_, tuple(places), remedies))


Apply = Callable[["Scope", syntax.Apply, Type | None], Value]


class Scope:
    """The names that one block of the program can see, and the statements that stand before the one at hand.

    ``hoisted`` collects what must run before the statement that is being checked; ``apply`` checks built-in functions.
    ``reached`` has the `id` of each expression whose check has begun, with its turn. ``lost`` are state variables that
    were declared in a way that cannot be understood, which has been told: nothing is said of what they are used for.
    """

    def __init__(
        self,
        part: Part,
        rpc: str,
        signature: MethodSignature,
        state: dict[str, CheckedState],
        found: Findings,
        apply: Apply,
        lost: Iterable[str] = (),
    ) -> None:
        self.part = part
        self.rpc = rpc
        self.signature = signature
        self.state = state
        self.found = found
        self.apply = apply
        self.hoisted: list[Statement] = []
        self.reached: dict[int, int] = {}
        self.reply: Variable | None = None
        self.loops = 0
        self._blocks: list[dict[str, Variable]] = [{}]
        self._gone: dict[str, Span] = {}
        self.lost = frozenset(lost)
        self._broken = set(self.lost)
        self._declared: list[Variable] = []
        self.elsewhere: dict[str, tuple[Part, Variable]] = {}
        """Locals of the blocks before this one."""

    @property
    def message(self) -> MessageSchema:
        """The message in hand."""
        return self.signature.response if self.part is Part.RESP else self.signature.request

    @contextmanager
    def block(self) -> Iterator[None]:
        """A block of its own: names first assigned in it end with it."""
        self._blocks.append({})
        try:
            yield
        finally:
            for name, variable in self._blocks.pop().items():
                self._gone[name] = variable.span

    @contextmanager
    def loop(self) -> Iterator[None]:
        """The block of a loop, which may run more than once and cannot end the handler."""
        self.loops += 1
        try:
            with self.block():
                yield
        finally:
            self.loops -= 1

    def is_of_this_block(self, name: str) -> bool:
        """Whether the name is a local that the innermost block declared."""
        return name in self._blocks[-1]

    def find(self, name: str) -> Variable | StateValue | None:
        """What the name stands for here."""
        for block in reversed(self._blocks):
            if name in block:
                return block[name]
        declared = self.state.get(name)
        return StateValue(name, declared.type, declared.span) if declared is not None else None

    def mention(self, span: Span, target: Variable | StateValue | Field) -> None:
        """Notes what the name at ``span`` stands for, for those who look at the text."""
        known = self.state[target.name] if isinstance(target, StateValue) else target
        self.found.mentions.append(Mention(span, known))

    def check_free(self, name: str, span: Span) -> None:
        """Raises `CheckError` for a name that no variable of a block can have."""
        if name in self.state:
            title = f"`{name}` is already a state variable"
            help_ = "use another name for the local variable"
            raise CheckError("E012", title, span, "", help_, [Label(self.state[name].span, "declared here")])
        if name == self.rpc and self.part is not Part.INIT:
            raise CheckError("E012", f"`{name}` is the RPC of this handler", span, help_="use another name")

    def declare(self, name: str, span: Span, type_: Type | None) -> Variable:
        """A new variable of the innermost block. Raises `CheckError`."""
        self.check_free(name, span)
        variable = Variable(name, span, type_)
        self._blocks[-1][name] = variable
        self._declared.append(variable)
        self.mention(span, variable)
        return variable

    def locals(self) -> dict[str, tuple[Part, Variable]]:
        """Everything that this block, or one before it, has named."""
        return self.elsewhere | {it.name: (self.part, it) for it in self._declared}

    def untold(self) -> list[Variable]:
        """Variables that began as ``[]`` and that nothing gave an item."""
        return [variable for variable in self._declared if variable.type is None]

    def give_up(self, names: Iterable[str]) -> None:
        """Says nothing more of names whose assignment is wrong."""
        self._broken.update(names)

    def gave_up(self, name: str) -> bool:
        """Whether the name's assignment is wrong, which has been told."""
        return name in self._broken

    def unknown(self, name: str, span: Span) -> CheckError | Follows:
        """The error for a name that stands for nothing here."""
        if name in self._broken:
            return Follows()
        if name in self._gone:
            help_ = f"assign `{name}` before the match as well, so that it has a value on every path"
            title, label = f"`{name}` is not set on every path", "not set on some paths"
            return CheckError("E011", title, span, label, help_, [Label(self._gone[name], "set only here")])
        if name == self.rpc:
            help_ = f"name one of its fields: get({name}, 'FIELD')"
            return CheckError("E033", f"`{name}` is the RPC, not a value", span, help_=help_)
        if name.lower() in _CONSTANTS:
            help_, constant = _CONSTANTS[name.lower()], name.lower()
            remedies = instead(span, constant) if constant in {"true", "false"} else ()
            return CheckError("E010", f"`{name}` is not defined", span, help_=help_, remedies=remedies)
        if name in self.elsewhere:
            return self._of_another_block(name, span)
        names = [*self.state, *(known for block in self._blocks for known in block)]
        if near_names(name, self._broken):  # what is wrong is perhaps where it is declared
            names += self._broken
        help_ = suggestion(name, names, what="names known here") if names else f"give it a value first: `{name} = …`"
        return CheckError("E010", f"`{name}` is not defined", span, help_=help_, remedies=near(span, name, names))

    def _of_another_block(self, name: str, span: Span) -> CheckError:
        part, variable = self.elsewhere[name]
        type_ = variable.type or "…"
        help_ = f"declare it in `state`, `{name}: {type_}`, to use it in every block"
        if part is not Part.INIT:
            help_ = f"keep it in a Map of the state, `{name}_of: Map<uint, {type_}>`, at the key rpc_id()"
        title, label = f"`{name}` is not defined in `{self.part.value}`", "not defined here"
        places = [Label(variable.span, f"locals of `{part.value}` end with it")]
        return CheckError("E010", title, span, label, help_, places)
