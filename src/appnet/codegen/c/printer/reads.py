"""What a handler that can refuse notes of what it reads: see ``why.h``. Nothing of it is seen by programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from appnet.codegen.c.printer.text import literal
from appnet.codegen.c.printer.types import Types, is_container, is_flat
from appnet.ir.nodes import (
    Call,
    Const,
    HasField,
    Let,
    Local,
    ReadField,
    Refuse,
    State,
    StateClass,
    Statement,
    StateVariable,
)
from appnet.ir.secrets import Secrets
from appnet.ir.walk import atoms_of, call_of
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import KEYED, OPERATIONS
from appnet.language.types import MapType, OptionType, PairType, Type, VecType

_ROOM = 48  # bytes of a value that can be noted
_SEEN = ~(Effect.READS_CONTAINER | Effect.WRITES_CONTAINER | Effect.RANDOM)
_DOES = Effect.WRITES_METADATA | Effect.WRITES_TRAILERS | Effect.SETS_DEADLINE


class Body(Protocol):
    """The body that is being printed."""

    @property
    def types(self) -> Types:
        """The C types of the chain."""

    def line(self, text: str) -> None:
        """Adds a line at the depth of the statement in hand."""

    def place(self, atom: Const | Local | State) -> str:
        """The variable itself."""


@dataclass(frozen=True)
class _Site:
    kind: str
    name: str
    key: Type | None
    type: Type | None
    secret: bool


class Reads:
    """Prints what notes the reads of one body, whose table of sites is ``NAME_sites``.

    What was noted on the way to a statement is not noted again: the first time is before the handler can have changed
    it, or what it has changed itself.
    """

    def __init__(self, body: Body, name: str, variables: dict[str, StateVariable], secrets: Secrets) -> None:
        self._body, self._name, self._variables, self._secrets = body, name, variables, secrets
        self._sites: dict[_Site, int] = {}
        self._seen: frozenset[object] = frozenset()

    def table(self) -> list[str]:
        """The ``an_site`` of each place."""
        if not self._sites:
            return []
        entries = [f"  {self._entry(it)}," for it in self._sites]
        return [f"static const an_site {self._name}_sites[] = {{", *entries, "};"]

    def inside(self, print_block: Callable[[], None]) -> None:
        """Prints a block that may not be run: what is noted there may not have been noted behind it."""
        seen = self._seen
        print_block()
        self._seen = seen

    def before(self, statement: Statement) -> None:
        """Notes the state that the statement's operands are."""
        call = call_of(statement)
        for number, atom in enumerate(atoms_of(statement)):
            if not isinstance(atom, State) or self._class(atom) in {StateClass.RECORD, StateClass.COUNTER}:
                continue
            if call is not None and number == 0 and self._on_place(call):
                self._container(call, atom)
            elif is_container(atom.type):
                self._whole(atom)
            else:
                self._note(
                    "AN_SITE_STATE", atom.name, atom.type, self._body.place(atom), self._secrets.state(atom.name)
                )

    def after(self, statement: Statement, value: str | None) -> None:
        """Notes what the statement has bound its local to; ``value``: the local in C, if it is declared."""
        if not isinstance(statement, Let) or value is None:
            return
        match statement.value:
            case ReadField(path=path, type=type_):
                self._note("AN_SITE_FIELD", path, type_, value, self._secrets.field(path))
            case HasField(path=path):
                self._note("AN_SITE_HAS", path, statement.value.type, value, self._secrets.field(path))
            case Call(op=op, args=args) as call:
                effects = OPERATIONS[op].effects
                if effects & _SEEN and not effects & _DOES:
                    key = next((it for it in args if not is_container(it.type)), None)
                    secret = self._secrets.asked(call)
                    self._note("AN_SITE_ASKED", op, statement.local.type, value, secret, key)
                elif self._in_call(call):
                    self._kept(call)

    def entry(self, call: Call, found: str) -> None:
        """Notes the entry that was looked up in a Map of the state; ``found``: a pointer to it, or NULL."""
        place, key = call.args[:2]
        assert isinstance(place, State)
        type_ = self._variables[place.name].type.value  # type: ignore[attr-defined]
        secret = self._secrets.state(place.name) or self._secrets.atom(key)
        if self._was_seen("entry", place.name, key):
            return
        site = self._site("AN_SITE_ENTRY", place.name, key.type, type_ if _size(type_) <= _ROOM else None, secret)
        key_text = self._variable(key)
        c_type = self._body.types.name(type_) if _size(type_) <= _ROOM else "char"
        self._body.line(f"AN_SEE_ENTRY(scope, {site}, {key_text}, {found}, {c_type});")

    def hides(self, refusal: Refuse) -> bool:
        """Whether the text of the refusal is secret."""
        return self._secrets.atom(refusal.message)

    def notes_entries(self, place: object) -> bool:
        """Whether what is looked up in the Map is told to `entry`."""
        return isinstance(place, State) and self._class(place) is not StateClass.RPC_SCOPED

    # --- state ---

    def _container(self, call: Call, place: State) -> None:
        """An operation on a container of the state."""
        effects = OPERATIONS[call.op].effects
        if call.op == "vec_append":
            site = self._site("AN_SITE_ADDED", place.name, None, None, self._secrets.state(place.name))
            self._body.line(f"(void)an_see(scope, {site});")
        elif effects & Effect.READS_CONTAINER and call.op not in KEYED:
            self._whole(place)

    def _whole(self, place: State) -> None:
        if self._class(place) is StateClass.RPC_SCOPED or ("whole", place.name) in self._seen:
            return
        self._seen |= {("whole", place.name)}
        site = self._site("AN_SITE_WHOLE", place.name, None, place.type, self._secrets.state(place.name))
        self._body.line(f"{{ const void *const place = &{self._body.place(place)}; AN_SEE(scope, {site}, place); }}")

    def _kept(self, call: Call) -> None:
        """The entry of the call in a Map at ``rpc_id()``, which is an option."""
        place = call.args[0]
        assert isinstance(place, State)
        if ("entry", place.name) in self._seen:
            return
        self._seen |= {("entry", place.name)}
        type_ = place.type.value  # type: ignore[attr-defined]
        secret = self._secrets.state(place.name)
        site = self._site("AN_SITE_ENTRY", place.name, None, type_ if _size(type_) <= _ROOM else None, secret)
        fits = _size(type_) <= _ROOM
        text = f"AN_SEE_KEPT(scope, {site}, {self._body.place(place)});" if fits else f"(void)an_see(scope, {site});"
        self._body.line(text)

    def _in_call(self, call: Call) -> bool:
        place = call.args[0] if call.args else None
        return call.op in KEYED and isinstance(place, State) and self._class(place) is StateClass.RPC_SCOPED

    def _class(self, place: State) -> StateClass:
        return self._variables[place.name].state_class

    def _on_place(self, call: Call) -> bool:
        return bool(OPERATIONS[call.op].effects & (Effect.READS_CONTAINER | Effect.WRITES_CONTAINER))

    # --- sites ---

    def _was_seen(self, kind: str, name: str, key: Const | Local | State | None) -> bool:
        """Whether it was noted already; of a key that may have changed since, that is not known."""
        known = (kind, name, key)
        if known in self._seen:
            return True
        if key is None or isinstance(key, Const):
            self._seen |= {known}
        return False

    def _note(
        self, kind: str, name: str, type_: Type, value: str, secret: bool, key: Const | Local | State | None = None
    ) -> None:
        if self._was_seen(kind, name, key):
            return
        fits = _size(type_) <= _ROOM and not isinstance(type_, OptionType)
        site = self._site(kind, name, key.type if key is not None else None, type_ if fits else None, secret)
        if not fits:
            self._body.line(f"(void)an_see(scope, {site});")
        elif key is None:
            self._body.line(f"AN_SEE(scope, {site}, {value});")
        else:
            self._body.line(f"AN_SEE_AT(scope, {site}, {self._variable(key)}, {value});")

    def _variable(self, atom: Const | Local | State) -> str:
        """An expression whose address can be taken."""
        text = self._body.place(atom)
        return (
            f"({self._body.types.name(atom.type)}){{{text}}}"
            if isinstance(atom, Const) and not isinstance(atom.value, bytes)
            else text
        )

    def _site(self, kind: str, name: str, key: Type | None, type_: Type | None, secret: bool) -> str:
        number = self._sites.setdefault(_Site(kind, name, key, type_, secret), len(self._sites))
        return f"&{self._name}_sites[{number}]"

    def _entry(self, site: _Site) -> str:
        types = [self._body.types.descriptor(it) if it is not None else "NULL" for it in (site.key, site.type)]
        return f"{{{site.kind}, {str(site.secret).lower()}, {literal(site.name.encode())}, {types[0]}, {types[1]}}}"


def _size(type_: Type) -> int:
    """At most so many bytes a value has in C."""
    match type_:
        case PairType(first=first, second=second):
            return _size(first) + _size(second)
        case OptionType(item=item):
            return 8 + _size(item)
        case MapType():
            return 48
        case VecType():
            return 24
        case _:
            return 8 if is_flat(type_) else 16
