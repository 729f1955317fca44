"""Texts that a handler would compute from a message, on whatever path.

What it compares a header with, such as a token, is often one; random texts would never meet it.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping

from appnet.analysis.decision import Event
from appnet.analysis.machine import bare_machine
from appnet.interpret import ChainInstance, Environment, Rpc
from appnet.interpret.operations import MEANINGS
from appnet.interpret.rpc import Message
from appnet.interpret.values import Value
from appnet.ir.nodes import Atom, Block, Call, Const, Element, HasField, Let, Local, ReadField
from appnet.ir.walk import statements
from appnet.language.messages import MethodSignature
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.language.types import STRING

_EVALUATED = (Effect.PURE, Effect.READS_CALL, Effect.READS_METADATA, Effect.READS_STATUS)


class Computed:
    """What an element computes, if state is as `init` left it. ``texts``: what it may have to unpack."""

    def __init__(self, element: Element, method: MethodSignature, texts: list[bytes], source: random.Random) -> None:
        self._element = element
        self._method = method
        self._texts = texts
        self._source = source
        self._state = ChainInstance([element], Environment(lambda: 0)).state_of(element.name)

    def texts(self, event: Event) -> list[bytes]:
        """Those of the handlers that the event runs; with a text that it can decrypt, decompress or decode."""
        request = event.kind in {"headers", "request"}
        handlers = self._element.handlers
        bodies = [handlers[it].body for it in (("open", "req") if request else ("resp",)) if it in handlers]
        schema = self._method.request if request else self._method.response
        message = Message(schema, dict(event.fields), dict(event.metadata), event.status)
        return [text for body in bodies for text in self._of_body(body, message, Rpc(self._method, rpc_id=event.call))]

    def _of_body(self, body: Block, message: Message, rpc: Rpc) -> list[bytes]:
        known: dict[str, Value] = {}
        found: list[bytes] = []
        for statement in statements(body):
            if not isinstance(statement, Let):
                continue
            value = self._compute(statement, known, message, rpc)
            if value is not None:
                known[statement.local.name] = value[0]
                found += [value[0]] if isinstance(value[0], bytes) else []
            match statement.value:
                case Call(op="decrypt", args=(_, key)) if (phrase := self._value(key, known)) is not None:
                    found.append(self._sealed(phrase[0]))
                case Call(op="base64_decode"):
                    found.append(base64.b64encode(self._source.choice(self._texts)))
                case Call(op="decompress", args=(text,)):
                    packed = bare_machine(text.type, seed=0)
                    found.append(bytes(MEANINGS["compress"](packed, self._source.choice(self._texts))))
        return found

    def _compute(self, statement: Let, known: Mapping[str, Value], message: Message, rpc: Rpc) -> tuple[Value] | None:
        match statement.value:
            case ReadField(path=path):
                return (message.read(path),)
            case HasField(path=path):
                return (message.has(path),)
            case Call(op=op, args=args, type=type_) if OPERATIONS[op].effects in _EVALUATED:
                operands = [self._value(atom, known) for atom in args]
                if None not in operands:
                    machine = bare_machine(type_, rpc, message)
                    return (MEANINGS[op](machine, *(it[0] for it in operands if it is not None)),)
                return None
            case Call():
                return None
            case atom:
                return self._value(atom, known)

    def _value(self, atom: Atom, known: Mapping[str, Value]) -> tuple[Value] | None:
        match atom:
            case Const(value=value):
                return (value,)
            case Local(name=name):
                return (known[name],) if name in known else None
            case _:
                return (self._state[atom.name],)

    def _sealed(self, phrase: bytes) -> bytes:
        machine = bare_machine(STRING, seed=self._source.getrandbits(64))
        return bytes(MEANINGS["encrypt"](machine, self._source.choice(self._texts), phrase))
