"""The store that all instances of a chain share: what shared state means (`appnet.ir.sharing`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from appnet.interpret.merging import WHOLE, Clock, Kept, Seen, entries_of, merge, seen, shifted, value_of
from appnet.interpret.rpc import Environment
from appnet.interpret.values import Value, as_key
from appnet.ir.effects import handler_effects
from appnet.ir.nodes import Block, Element, StateVariable
from appnet.ir.sharing import Sharing, shares, unavailable_of
from appnet.language.types import MapType

Name = tuple[str, str]
"""Of an element and its variable."""


@dataclass
class Store:
    """One state for all instances. ``away``: whether nobody reaches it, which may be set at any time."""

    away: bool = False
    _kept: dict[Name, Kept] = field(default_factory=dict)
    _lasting: set[Name] = field(default_factory=set)
    _alive: set[int] = field(default_factory=set)

    def begin(self, instance: int) -> None:
        """An instance of this number begins."""
        self._alive.add(instance)

    def leave(self, instance: int) -> None:
        """It has ended: with the last one ends all state that is not persistent."""
        self._alive.discard(instance)
        if not self._alive:
            self._kept = {name: it for name, it in self._kept.items() if name in self._lasting}

    def variable(self, element: str, variable: StateVariable, first: Value) -> Kept:
        """The variable; where the store has none, with the value ``first``."""
        name = element, variable.name
        if variable.persistent:
            self._lasting.add(name)
        return self._kept.setdefault(name, Kept(variable.type, variable.capacity, entries_of(first, variable.type)))


@dataclass
class _Copy:
    """A merged variable in one instance: what it had from the store, and what was written since."""

    base: Seen
    written: dict[Value, Clock] = field(default_factory=dict)


class SharedState:
    """What one element of one instance has to do with the store. ``given_up``: steps that were taken on the instance's
    copy while the store was away, and that it has not kept.
    """

    def __init__(self, element: Element, store: Store, environment: Environment, instance: int) -> None:
        self._element, self._store, self._instance = element, store, instance
        self._environment = environment
        found = shares(element)
        self._strong = [it for it in element.state if found[it.name].sharing is Sharing.SHARED]
        self._weak = {it.name: it for it in element.state if found[it.name].sharing is Sharing.MERGED}
        self._combiners = {name: found[name].combiner or "" for name in self._weak}
        self._copies: dict[str, _Copy] = {}
        self._steps: dict[int, bool] = {}
        self._before: dict[str, Value] = {}
        self._wrote: dict[str, set[Value]] = {}
        self._clock: Clock = (0, 0, instance)
        self.given_up = 0

    def start(self, state: dict[str, Value]) -> None:
        """``init`` has run: what it gave to shared variables counts where the store has none."""
        self._store.begin(self._instance)
        self._copies = {
            name: _Copy(Seen(entries_of(self._outwards(state[name], it), it.type))) for name, it in self._weak.items()
        }
        if not self._store.away:
            self.refresh(state)
            self.merge(state)

    def refresh(self, state: dict[str, Value]) -> None:
        """Gives strong variables the values that they have in the store, if it can be reached."""
        if self._store.away:
            return
        for it in self._strong:
            kept = self._store.variable(self._element.name, it, self._outwards(state[it.name], it))
            state[it.name] = shifted(kept.value(), it.type, -self._environment.wall_ahead_ns)

    def steps(self, body: Block) -> bool:
        """Whether the handler is a step on the store: it reads or writes strong state."""
        known = self._steps.get(id(body))
        if known is None:
            effects = handler_effects(body)
            used = effects.state_read | effects.state_written
            known = self._steps[id(body)] = any(it.name in used for it in self._strong)
        return known

    def is_refused(self, body: Block) -> bool:
        """Whether the handler cannot run, as the store is away."""
        return self._store.away and self.steps(body) and unavailable_of(self._element) == "refuse"

    def enter(self, state: dict[str, Value], body: Block) -> None:
        """A handler begins."""
        self._wrote = {}
        if self._strong and self.steps(body):
            self.refresh(state)
        self._before = {name: entries_of(state[name], it.type) for name, it in self._weak.items()}

    def wrote(self, variable: str, key: Value) -> None:
        """The handler in hand set or deleted an entry, or with `WHOLE` the variable."""
        self._wrote.setdefault(variable, set()).add(as_key(key))

    def leave(self, state: dict[str, Value], body: Block) -> None:
        """The handler has ended: its step is in the store before anybody sees its verdict."""
        if self._strong and self.steps(body):
            if self._store.away:
                self.given_up += 1
            else:
                for it in self._strong:
                    kept = self._store.variable(self._element.name, it, self._outwards(state[it.name], it))
                    kept.replace(self._outwards(state[it.name], it))
        wrote = self._wrote.keys() & self._weak.keys()
        if any(self._combiners[it] == "LWW" for it in wrote):
            self._tick()
        for name in wrote:
            self._copies[name].written.update(dict.fromkeys(self._touched(name, state), self._clock))

    def _touched(self, name: str, state: dict[str, Value]) -> set[Value]:
        """The entries of a weak variable that the step set, deleted or had to drop, as the store has them."""
        it = self._weak[name]
        if not isinstance(it.type, MapType):
            return {WHOLE}
        before, now = self._before[name].keys(), entries_of(state[name], it.type).keys()
        wrote = self._wrote[name]
        keys = before | now if WHOLE in wrote else wrote | (before - now)
        return {shifted(key, it.type.key, self._environment.wall_ahead_ns) for key in keys}

    def merge(self, state: dict[str, Value]) -> int:
        """Merges the copies with the store, if it can be reached; how much full variables let go."""
        evicted = 0
        if self._store.away:
            return evicted
        for name, it in self._weak.items():
            copy = self._copies[name]
            outwards = self._outwards(state[name], it)
            kept = self._store.variable(self._element.name, it, value_of(copy.base.entries, it.type))
            evicted += merge(kept, copy.base, entries_of(outwards, it.type), copy.written, self._combiners[name])
            self._copies[name] = _Copy(seen(kept))
            state[name] = shifted(kept.value(), it.type, -self._environment.wall_ahead_ns)
            self._clock = max([self._clock, *kept.clocks.values()])
        return evicted

    def _outwards(self, value: Value, variable: StateVariable) -> Value:
        """The value with its Instants by the wall clock."""
        return shifted(value, variable.type, self._environment.wall_ahead_ns)

    def _tick(self) -> None:
        wall = self._environment.now_ns() + self._environment.wall_ahead_ns
        last, count, _ = self._clock
        self._clock = (wall, 0, self._instance) if wall > last else (last, count + 1, self._instance)
