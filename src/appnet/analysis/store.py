"""Everything that a handler can read and change, as values of Z3, and how two of them merge where ways meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import z3

from appnet.analysis.symbols import BITS, FALSE, TEXT, TRUE, Option, Symbolic, Term, both, either, negated, when

K = TypeVar("K")

_NO_TEXT = z3.Const("no text", TEXT)


AS_IT_CAME, WAS_SET, IS_GONE = (z3.BitVecVal(number, 2) for number in range(3))


@dataclass(frozen=True)
class SymbolicHeaders:
    """Metadata, by key. ``text``: its values, joined, of an absent one the empty text; ``how``: `AS_IT_CAME`, if it
    did, as it `WAS_SET` by a handler, or not there, whatever came.
    """

    text: Term
    how: Term

    @classmethod
    def came(cls, name: str) -> SymbolicHeaders:
        """Any."""
        return cls(z3.Const(name, z3.ArraySort(TEXT, TEXT)), z3.K(TEXT, AS_IT_CAME))

    @classmethod
    def none(cls, empty: Term) -> SymbolicHeaders:
        """None at all; ``empty``: the empty text."""
        return cls(z3.K(TEXT, empty), z3.K(TEXT, IS_GONE))

    def put(self, key: Term, text: Term, how: Term, fits: Term) -> SymbolicHeaders:
        """What they become where it ``fits``."""
        return SymbolicHeaders(
            when(fits, z3.Store(self.text, key, text), self.text), when(fits, z3.Store(self.how, key, how), self.how)
        )

    def there(self, key: Term) -> Term:
        """Whether the key has values; asked of trailers alone."""
        came = z3.Select(z3.Const("trailers there", z3.ArraySort(TEXT, z3.BoolSort())), key)
        how = z3.simplify(z3.Select(self.how, key))
        return z3.simplify(either(how == WAS_SET, both(how == AS_IT_CAME, came)))

    def terms(self) -> list[Term]:
        """All that they are."""
        return [self.text, self.how]


def merge_headers(condition: Term, then: SymbolicHeaders, otherwise: SymbolicHeaders) -> SymbolicHeaders:
    """``then`` where the condition holds, else ``otherwise``."""
    return SymbolicHeaders(when(condition, then.text, otherwise.text), when(condition, then.how, otherwise.how))


@dataclass(frozen=True)
class SymbolicMessage:
    """The message in hand.

    ``fields`` and ``written`` (whether a handler wrote it) by path; a field not in them is as it came.
    ``made_here``: a response that the chain made. ``at_once``: its trailers are its metadata; ``begun``: they stand
    before them. ``destination``: the text of the host that handlers chose; ``wait``: by how many milliseconds they
    delayed it since it came; ``deadline``: when the call ends, in nanoseconds. ``present``: whether a field is there
    that handlers ask for; ``cleared``: whether a handler has taken it away, or another member of its oneof has.
    ``size``: as it came.
    """

    status: Term
    made_here: Term
    metadata: SymbolicHeaders
    trailers: SymbolicHeaders
    at_once: Term
    begun: Term
    destination: Option
    wait: Term
    deadline: Term
    fields: Mapping[str, Symbolic] = field(default_factory=dict)
    written: Mapping[str, Term] = field(default_factory=dict)
    present: Mapping[str, Term] = field(default_factory=dict)
    cleared: Mapping[str, Term] = field(default_factory=dict)
    size: Term = field(default_factory=lambda: z3.BitVecVal(0, BITS))


@dataclass(frozen=True)
class Store:
    """One point of a run.

    ``draws``: how many were made. ``ended``: whether the handler has; ``refused``, ``answered``: and how, if it does
    not let the message pass. ``reply``, ``set_in_reply``: the fields of its reply, and whether it set them, by path.
    ``told``: the metadata that it set, which go with an error or a reply.
    """

    state: Mapping[str, Symbolic]
    message: SymbolicMessage
    told: SymbolicHeaders
    locals: Mapping[str, Symbolic] = field(default_factory=dict)
    draws: Term = field(default_factory=lambda: z3.BitVecVal(0, BITS))
    ended: Term = FALSE
    refused: Term = FALSE
    code: Term = field(default_factory=lambda: z3.BitVecVal(0, BITS))
    text: Term = field(default_factory=lambda: _NO_TEXT)
    answered: Term = FALSE
    reply: Mapping[str, Symbolic] = field(default_factory=dict)
    set_in_reply: Mapping[str, Term] = field(default_factory=dict)

    def forwards(self) -> Term:
        """Whether the handler ended, and let the message pass."""
        return both(self.ended, negated(either(self.refused, self.answered)))

    def bind(self, name: str, value: Symbolic) -> Store:
        """The store after a local was given a value."""
        return replace(self, locals={**self.locals, name: value})

    def assign(self, name: str, value: Symbolic) -> Store:
        """The store after a state variable was given a value."""
        return replace(self, state={**self.state, name: value})

    def forward(self) -> Store:
        """The store after the verdict that lets the message pass."""
        return replace(self, ended=TRUE, refused=FALSE)

    def answer(self) -> Store:
        """The store after the verdict that answers the caller with the reply."""
        return replace(self, ended=TRUE, refused=FALSE, answered=TRUE)

    def refuse(self, code: Term, text: Term) -> Store:
        """The store after the verdict that tells the caller an error."""
        return replace(self, ended=TRUE, refused=TRUE, code=code, text=text)


def merge(condition: Term, then: Store, otherwise: Store) -> Store:
    """``then`` where the condition holds, else ``otherwise``."""
    if z3.is_true(condition):
        return then
    if z3.is_false(condition):
        return otherwise
    return Store(
        merge_named(condition, then.state, otherwise.state),
        merge_messages(condition, then.message, otherwise.message),
        merge_headers(condition, then.told, otherwise.told),
        merge_named(condition, then.locals, otherwise.locals),
        when(condition, then.draws, otherwise.draws),
        when(condition, then.ended, otherwise.ended),
        when(condition, then.refused, otherwise.refused),
        when(condition, then.code, otherwise.code),
        when(condition, then.text, otherwise.text),
        when(condition, then.answered, otherwise.answered),
        merge_named(condition, then.reply, otherwise.reply),
        merge_named(condition, then.set_in_reply, otherwise.set_in_reply),
    )


def merge_messages(condition: Term, then: SymbolicMessage, otherwise: SymbolicMessage) -> SymbolicMessage:
    """The same for messages; both have read or written the same fields, or these are as they came."""
    return SymbolicMessage(
        when(condition, then.status, otherwise.status),
        when(condition, then.made_here, otherwise.made_here),
        merge_headers(condition, then.metadata, otherwise.metadata),
        merge_headers(condition, then.trailers, otherwise.trailers),
        when(condition, then.at_once, otherwise.at_once),
        when(condition, then.begun, otherwise.begun),
        when(condition, then.destination, otherwise.destination),
        when(condition, then.wait, otherwise.wait),
        when(condition, then.deadline, otherwise.deadline),
        merge_named(condition, then.fields, otherwise.fields),
        merge_named(condition, then.written, otherwise.written),
        merge_named(condition, then.present, otherwise.present),
        merge_named(condition, then.cleared, otherwise.cleared),
        when(condition, then.size, otherwise.size),
    )


def merge_named(condition: Term, then: Mapping[K, Symbolic], otherwise: Mapping[K, Symbolic]) -> dict[K, Symbolic]:
    """Name by name; what one side lacks is never looked at where that side was taken."""
    pick: Callable[[K], Symbolic] = lambda name: (  # noqa: E731
        when(condition, then[name], otherwise[name])
        if name in then and name in otherwise
        else then.get(name, otherwise.get(name))
    )
    return {name: pick(name) for name in {**then, **otherwise}}
