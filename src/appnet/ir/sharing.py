"""Which state of an element is one for all instances of a processor, in which way, and why.

A declaration (`@consistency`) says what programs mean; what has to be shared for that is less. State that nobody could
tell from shared state stays in the instance, whatever is declared: it costs nothing there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from appnet.ir.needs import Asked, Need, drawn_by_init
from appnet.ir.nodes import (
    Atom,
    Call,
    Computation,
    Consistency,
    Const,
    Element,
    Handler,
    HasField,
    Let,
    Local,
    ReadField,
    SetState,
    State,
    StateClass,
    StateVariable,
)
from appnet.ir.walk import atoms_of, binders, call_of, statements
from appnet.language.capacity import DEFAULT_CAPACITY
from appnet.language.operations.declaration import Effect
from appnet.language.operations.registry import KEYED, OPERATIONS
from appnet.language.types import MapType

PART: int = DEFAULT_CAPACITY
"""How many entries instances keep of a Map that they know in part."""


class Sharing(Enum):
    LOCAL = "local"  # each instance has its own
    MERGED = "merged"  # each instance has a copy, and copies are merged in the background
    SHARED = "shared"  # in the store; a handler is one atomic step on it


@dataclass(frozen=True)
class Share:
    """How a variable is shared. ``reason``: why, after "because". ``combiner``: of what is merged.

    ``sharded``: a Map that is SHARED, of which each handler touches one key only and no other SHARED variable: steps on
    different keys need not know of each other.

    ``part``: how many of its entries an instance keeps, of the only Map that is SHARED where that may have more than
    `PART`, handlers touch it only at keys, and steps change nothing but what is SHARED; 0: all of them.
    """

    sharing: Sharing
    reason: str
    combiner: str | None = None
    sharded: bool = False
    part: int = 0

    @property
    def in_store(self) -> bool:
        """Whether instances need a store for it."""
        return self.sharing is not Sharing.LOCAL


_STAYS = {
    StateClass.RPC_SCOPED: "it lives in the call, which one instance carries",
    StateClass.RECORD: "its items are sent away one by one",
}
_SAME_FOR_ALL = (Effect.READS_CALL, Effect.PURE)


def shares(element: Element) -> Mapping[str, Share]:
    """How each variable of the element is shared, by name."""
    drawn = drawn_by_init(element.init)
    found = {it.name: _share(it, drawn) for it in element.state}
    steps = [name for name, it in found.items() if it.sharing is Sharing.SHARED]
    if len(steps) == 1 and _one_key_each(element, steps[0]):
        found[steps[0]] = replace(found[steps[0]], sharded=True)
    maps = [it for it in element.state if it.name in steps and isinstance(it.type, MapType)]
    if len(maps) == 1 and maps[0].capacity > PART and _finds_all_by_key(element, maps[0].name, steps):
        found[maps[0].name] = replace(found[maps[0].name], part=PART)
    return found


def shares_of(compiled: Sequence[Element]) -> Mapping[str, Share]:
    """Of an element as compiled for several methods, which have one state."""
    every = [shares(it) for it in compiled]
    return {
        name: replace(it, sharded=all(one[name].sharded for one in every), part=min(one[name].part for one in every))
        for name, it in every[0].items()
    }


def shared_variables(element: Element) -> tuple[StateVariable, ...]:
    """Those for which instances need a store."""
    found = shares(element)
    return tuple(it for it in element.state if found[it.name].in_store)


def shared_state(element: Element) -> tuple[Asked, ...]:
    """What asks for `Need.SHARED_STATE` or `Need.MERGED_STATE`: its state that is shared so, and why."""
    return tuple(
        Asked(Need.SHARED_STATE if it.sharing is Sharing.SHARED else Need.MERGED_STATE, name, it.reason)
        for name, it in shares(element).items()
        if it.in_store
    )


def as_merged(element: Element) -> Element:
    """The element with the classes that its state has where merges change it, too: what only `init` draws is no longer
    read-only, and a counter merged by `LWW` is no longer only added to."""
    found = shares(element)

    def changed(it: StateVariable) -> StateVariable:
        combiner = found[it.name].combiner
        drawn = it.state_class is StateClass.READ_ONLY
        last = it.state_class is StateClass.COUNTER and combiner == "LWW"
        return replace(it, state_class=StateClass.GENERAL) if combiner and (drawn or last) else it

    return replace(element, state=tuple(changed(it) for it in element.state))


def tried_by_steps(compiled: Sequence[Element]) -> frozenset[str]:
    """The state of an element, as compiled for several methods, that handlers may have to give back: what is in the
    store, and what is changed by handlers that touch any of it."""
    general = {it.name for it in compiled[0].state if it.state_class is StateClass.GENERAL}
    tried = frozenset(name for name, it in shares_of(compiled).items() if it.sharing is Sharing.SHARED)
    handlers = [handler for it in compiled for handler in it.handlers.values()]
    while True:
        steps = [it.effects for it in handlers if (it.effects.state_read | it.effects.state_written) & tried]
        more = tried.union(*(it.state_written & general for it in steps))
        if more == tried:
            return tried
        tried = more


def steps_in_store(element: Element) -> bool:
    """Whether its handlers wait for the store."""
    return any(it.sharing is Sharing.SHARED for it in shares(element).values())


def unavailable_of(element: Element) -> str:
    """What becomes of calls while the store is away: ``refuse`` or ``local``, one for all of the element's state."""
    return next((it.unavailable for it in shared_variables(element)), "refuse")


def _share(variable: StateVariable, drawn: frozenset[str]) -> Share:
    state_class, name = variable.state_class, variable.name
    if variable.consistency is Consistency.LOCAL:
        return Share(Sharing.LOCAL, "no `@consistency` is declared")
    if state_class in _STAYS:
        return Share(Sharing.LOCAL, _STAYS[state_class])
    if state_class is StateClass.READ_ONLY:
        if name not in drawn:
            return Share(Sharing.LOCAL, "every `init` makes the same of it, and no handler changes it")
        return Share(Sharing.MERGED, "`init` of the first instance draws it, and no handler changes it", "LWW")
    counts = state_class is StateClass.COUNTER
    if variable.consistency is Consistency.STRONG:
        if counts:
            return Share(Sharing.MERGED, "it is only added to, and no handler reads it", "sum")
        return Share(Sharing.SHARED, "declared strong, and handlers read and change it")
    return Share(Sharing.MERGED, "declared weak", variable.combiner or ("sum" if counts else "LWW"))


# --- one key of a Map ---


def _one_key_each(element: Element, name: str) -> bool:
    variable = next(it for it in element.state if it.name == name)
    if not isinstance(variable.type, MapType):
        return False
    fixed = frozenset(it.name for it in element.state if it.state_class is StateClass.READ_ONLY)
    return all(_touches_one_key(it, name, fixed) for it in element.handlers.values())


def _touches_one_key(handler: Handler, name: str, fixed: frozenset[str]) -> bool:
    """Whether all that the handler does with the Map is at one key, whatever path it takes."""
    keys = _keys_touched(handler, name)
    if keys is None:
        return False
    values = _Values(handler, fixed)
    found = {values.of(it) for it in keys}
    return not found or (len(found) == 1 and None not in found)


def only_at_keys(handler: Handler, name: str) -> bool:
    """Whether all that the handler does with the variable is at keys of a Map."""
    return _keys_touched(handler, name) is not None


def _finds_all_by_key(element: Element, name: str, stored: Sequence[str]) -> bool:
    """Whether handlers touch the Map only at keys, and those that touch any of what is ``stored`` change nothing else.

    A step that meets an unknown key is taken back by itself, as no other state can be.
    """
    general = {it.name for it in element.state if it.state_class is StateClass.GENERAL}.difference(stored)
    every = element.handlers.values()
    steps = [it.effects for it in every if (it.effects.state_read | it.effects.state_written).intersection(stored)]
    return all(only_at_keys(it, name) for it in every) and not any(it.state_written & general for it in steps)


def _keys_touched(handler: Handler, name: str) -> list[Atom] | None:
    """The keys at which the handler touches a Map; None where it touches the variable in another way, too."""
    keys = []
    for statement in statements(handler.body):
        call, atoms = call_of(statement), atoms_of(statement)
        at_key = call is not None and call.op in KEYED and isinstance(atoms[0], State) and atoms[0].name == name
        for atom in atoms[1:] if at_key else atoms:
            if isinstance(atom, State) and atom.name == name:
                return None
        if isinstance(statement, SetState) and statement.state.name == name:
            return None
        if at_key:
            keys.append(atoms[1])
    return keys


class _Values:
    """What atoms of a handler hold, where that is the same at any time: those of one such value are the same key.

    ``fixed``: the state that no handler changes.
    """

    def __init__(self, handler: Handler, fixed: frozenset[str]) -> None:
        effects = handler.effects
        self._fixed = fixed
        self._changed = {it.path for it in effects.fields if it.written or it.cleared} | effects.fields_cleared
        self._metadata = effects.metadata_written
        bound = Counter(it.name for statement in statements(handler.body) for it in binders(statement))
        self._let = {
            it.local.name: it.value
            for it in statements(handler.body)
            if isinstance(it, Let) and bound[it.local.name] == 1
        }

    def of(self, atom: Atom) -> object:
        """Equal for atoms that hold the same; None where that is not known."""
        match atom:
            case Const(value=value, type=type_):
                return type_, value
            case State(name=name) if name in self._fixed:
                return State, name
            case Local(name=name) if name in self._let:
                return self._of(self._let[name])
            case _:
                return None

    def _of(self, value: Computation) -> object:
        match value:
            case ReadField(path=path) | HasField(path=path):
                alike = any(path.startswith(it) or it.startswith(path) for it in self._changed)
                return None if alike else (type(value), path)
            case Call(op=op, args=args):
                parts = tuple(self.of(it) for it in args)
                return (op, parts) if self._lasts(op) and None not in parts else None
            case _:
                return self.of(value)

    def _lasts(self, op: str) -> bool:
        effects = OPERATIONS[op].effects
        if effects is Effect.READS_METADATA:
            return not self._metadata
        return effects in _SAME_FOR_ALL and not OPERATIONS[op].fallible
