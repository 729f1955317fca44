"""What each worker thread of a processor has for itself, where workers share no state: as in a wasm proxy of several.

One worker loses nothing of any element. With several, state loses nothing that lives in the call (rpc-scoped), that is
sent away record by record, or that `init` makes the same in each (read-only). Counters and general state are kept by
each worker for itself, and what counts a processor's calls counts the worker's alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from appnet.diagnostics.diagnostic import Diagnostic, Severity, Span
from appnet.ir.nodes import Block, Const, Element, SetState, State, StateClass
from appnet.ir.state_classes import uses_call_number
from appnet.ir.walk import atoms_of, call_of, statements
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.language.syntax import Apply, Expression, Name, Program, applications

_CAUSES = {
    StateClass.COUNTER: "counter: each worker would add up its own calls alone",
    StateClass.GENERAL: "general state: each worker would have one of its own",
}
_DRAWS = Effect.RANDOM | Effect.TIME
_HELP = "give its wasm proxies one worker (`--concurrency 1`), or compile it to native, whose workers share state"


@dataclass(frozen=True)
class PerWorker:
    """A part of an element that each worker would have for itself: a state variable or a function. ``cause``: why."""

    name: str
    cause: str


def per_worker(element: Element) -> tuple[PerWorker, ...]:
    """Those parts of the element; where there are none, it means the same with any number of workers."""
    return (*_state(element), *_calls(element))


def worker_notes(element: Element, program: Program, target: str) -> list[Diagnostic]:
    """A note for each part of the element that each worker of a proxy would have for itself; where there are none,
    one that says so. ``target``: native, whose workers share state, or wasm. ``program``: what ``element`` was made of.
    """
    found = per_worker(element) if target == "wasm" else ()
    if not found:
        classes = dict.fromkeys(it.state_class.value for it in element.state)
        label = f"its state: {', '.join(classes)}" if classes else "it keeps no state"
        title = f"`{element.name}` means the same on {target} with any number of workers"
        return [_note("N002", title, program.span, label, "choose as many workers as the load needs")]
    places = _places(program, _in_calls(element))
    title = f"`{element.name}` needs one worker on wasm"
    return [_note("N001", title, places.get(it.name, program.span), it.cause, _HELP) for it in found]


def _places(program: Program, in_calls: frozenset[str]) -> dict[str, Span]:
    """Where state is declared, and functions are first called for anything but a place in a Map of ``in_calls``."""
    places = {it.name.name: it.name.span for it in program.state}
    calls = list(applications((program.init, program.req, program.resp)))
    keys = {id(key) for it in calls if (key := _key(it, in_calls)) is not None}
    for call in calls:
        if id(call) not in keys:
            places.setdefault(call.function.name, call.function.span)
    return places


def _key(call: Apply, in_calls: frozenset[str]) -> Expression | None:
    match call.arguments:
        case (Name(name=name), key, *_) if name in in_calls:
            return key
        case _:
            return None


def _state(element: Element) -> Iterator[PerWorker]:
    drawn = _drawn(element.init)
    for variable in element.state:
        if variable.state_class in _CAUSES:
            yield PerWorker(variable.name, _CAUSES[variable.state_class])
        elif variable.state_class is StateClass.READ_ONLY and variable.name in drawn:
            yield PerWorker(variable.name, "`init` may make another one in each worker: it draws, or asks for the time")


def _drawn(init: Block) -> set[str]:
    """State that `init` computes, if it draws or asks for the time at all."""
    effects = [OPERATIONS[call.op].effects for it in statements(init) if (call := call_of(it))]
    if not any(it & _DRAWS for it in effects):
        return set()
    found: set[str] = set()
    for it in statements(init):
        if isinstance(it, SetState) and not isinstance(it.value, Const):
            found.add(it.state.name)
        elif call_of(it) is not None:
            found.update(atom.name for atom in atoms_of(it) if isinstance(atom, State))
    return found


def _in_calls(element: Element) -> frozenset[str]:
    return frozenset(it.name for it in element.state if it.state_class is StateClass.RPC_SCOPED)


def _calls(element: Element) -> Iterator[PerWorker]:
    bodies = (element.init, element.req.body, element.resp.body)
    if any(uses_call_number(body, _in_calls(element)) for body in bodies):
        yield PerWorker("rpc_id", "the number of a call would be unique in one worker alone")
    used = {call.op for body in bodies for it in statements(body) if (call := call_of(it))}
    for name, operation in OPERATIONS.items():
        if name in used and Effect.COUNTS_CALLS in operation.effects:
            yield PerWorker(operation.function, "each worker would count its own calls alone")


def _note(code: str, title: str, span: Span, label: str, help_: str) -> Diagnostic:
    return Diagnostic(code, Severity.NOTE, title, span, label, help_)
