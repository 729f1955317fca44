"""What a handler can read, change and decide, inferred from its body."""

from __future__ import annotations

from dataclasses import dataclass, field

from appnet.ir.nodes import (
    Answer,
    Block,
    ClearField,
    Delay,
    FieldUse,
    Forward,
    HandlerEffects,
    HasField,
    Let,
    Match,
    Refuse,
    Route,
    SetState,
    State,
    Statement,
    WriteField,
    WriteReply,
)
from appnet.ir.walk import atoms_of, call_of, is_exhaustive, read_field_of, statements
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.language.types import BOOL, Type


def handler_effects(body: Block) -> HandlerEffects:
    """The effects of a handler with this body; what stands on paths that cannot be taken counts too.

    ``fields`` come in the order of their first use. A container that an operation only writes is in
    ``state_written`` alone, one that is copied or asked is in ``state_read``.
    """
    found = _Found()
    for statement in statements(body):
        found.add(statement)
    effects = found.operations
    return HandlerEffects(
        fields=tuple(found.fields.values()),
        fields_cleared=frozenset(found.cleared),
        reply_fields=tuple(found.reply_fields.values()),
        state_read=frozenset(found.read),
        state_written=frozenset(found.written),
        reads_size=Effect.READS_MESSAGE in effects,
        metadata_read=Effect.READS_METADATA in effects,
        metadata_written=Effect.WRITES_METADATA in effects,
        trailers_read=Effect.READS_TRAILERS in effects,
        trailers_written=Effect.WRITES_TRAILERS in effects,
        reads_deadline=Effect.READS_DEADLINE in effects,
        sets_deadline=Effect.SETS_DEADLINE in effects,
        reads_status=Effect.READS_STATUS in effects,
        uses_random=Effect.RANDOM in effects,
        uses_time=Effect.TIME in effects,
        reads_backends=Effect.READS_BACKENDS in effects,
        can_refuse=found.refuses,
        can_drop=not ends(body),
        can_reply=found.replies,
        chooses_host=found.chooses_host,
        delays=found.delays,
    )


def ends(block: Block) -> bool:
    """Whether every path through the block meets a verdict."""
    return any(_statement_ends(statement) for statement in block.statements)


def _statement_ends(statement: Statement) -> bool:
    if isinstance(statement, Match):
        return is_exhaustive(statement.arms) and all(ends(arm.body) for arm in statement.arms)
    return isinstance(statement, Forward | Refuse | Answer)


@dataclass
class _Found:
    fields: dict[str, FieldUse] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    operations: Effect = Effect.PURE
    refuses: bool = False
    replies: bool = False
    chooses_host: bool = False
    delays: bool = False
    reply_fields: dict[str, FieldUse] = field(default_factory=dict)

    def add(self, statement: Statement) -> None:
        atoms = atoms_of(statement)
        call = call_of(statement)
        if call is not None:
            effects = OPERATIONS[call.op].effects
            self.operations |= effects
            place = atoms[0] if Effect.WRITES_CONTAINER in effects else None
            if place is not None:
                atoms = atoms[1:]
                self.written.update([place.name] if isinstance(place, State) else [])
        self.read.update(atom.name for atom in atoms if isinstance(atom, State))
        self.refuses |= isinstance(statement, Refuse)
        self.replies |= isinstance(statement, Answer)
        self.chooses_host |= isinstance(statement, Route)
        self.delays |= isinstance(statement, Delay)
        if isinstance(statement, WriteReply):
            use = FieldUse(statement.path, statement.value.type, read=False, written=True)
            self.reply_fields[statement.path] = use
        if isinstance(statement, SetState):
            self.written.add(statement.state.name)
        if isinstance(statement, WriteField):
            self._use(statement.path, statement.value.type, written=True)
            self.cleared.update(statement.clears)
        elif isinstance(statement, ClearField):
            self._use(statement.path, BOOL, cleared=True)
            self.cleared.update(statement.clears)
        elif isinstance(statement, Let) and isinstance(statement.value, HasField):
            self._use(statement.value.path, BOOL, asked=True)
        elif (value := read_field_of(statement)) is not None:
            self._use(value.path, value.type, read=True)

    def _use(
        self,
        path: str,
        type_: Type,
        *,
        read: bool = False,
        written: bool = False,
        asked: bool = False,
        cleared: bool = False,
    ) -> None:
        before = self.fields.get(path, FieldUse(path, type_, read=False, written=False))
        self.fields[path] = FieldUse(
            path,
            type_ if read or written else before.type,
            read or before.read,
            written or before.written,
            asked or before.asked,
            cleared or before.cleared,
        )
