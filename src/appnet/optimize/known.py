"""What was found out about elements: each thing once, however many chains they stand on."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from appnet.analysis import Decision, DecisionCache, Proved, Strength, decide, infer
from appnet.analysis.overrides import Overrides
from appnet.analysis.properties import Properties
from appnet.application.load import BoundMethod
from appnet.ir.needs import Asked, asks_for_hosts, needs
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.optimize.cost import Costs, Profile, TargetCosts, costs_of
from appnet.optimize.sides import Bound, bound_of

_Pair = tuple[Element, Element, MethodSignature]


class Known:
    """Properties, needs and costs of elements, and whether two of them may swap."""

    def __init__(self, cache: DecisionCache | None = None, by_hand: Overrides | None = None) -> None:
        self._cache = cache if cache is not None else DecisionCache()
        self._by_hand = by_hand if by_hand is not None else Overrides({})
        self._properties: dict[str, Properties] = {}
        self._asked: dict[tuple[str, str], tuple[Asked, ...]] = {}
        self._bound: dict[tuple[str, str, Strength | None], Bound] = {}
        self._costs: dict[tuple[str, tuple[TargetCosts, ...], float | None], Costs] = {}
        self._decisions: dict[tuple[str, str, str, Strength], Decision] = {}

    def properties(self, element: Element) -> Properties:
        """What the element does."""
        found = self._properties.get(element.digest)
        if found is None:
            inferred = infer(element)
            found = self._properties[element.digest] = self._by_hand.of(inferred) or inferred
        return found

    def asked(self, methods: Sequence[BoundMethod], name: str) -> tuple[Asked, ...]:
        """What the element of this name needs of its place, for all methods."""
        return tuple(dict.fromkeys(asked for it in methods for asked in self._asked_once(it, name)))

    def _asked_once(self, method: BoundMethod, name: str) -> tuple[Asked, ...]:
        element = method.elements[name]
        key = (element.digest, method.signature.digest)
        if key not in self._asked:
            self._asked[key] = needs(element, method.signature)
        return self._asked[key]

    def asks_for_hosts(self, methods: Sequence[BoundMethod], name: str) -> bool:
        """Whether the element looks at hosts or chooses one, for any of the methods."""
        return any(asks_for_hosts(it.elements[name]) for it in methods)

    def bound(self, methods: Sequence[BoundMethod], name: str, strength: Strength | None) -> Bound:
        """What binds the element of this name to its side, for any of the methods."""
        found = [self._bound_once(it, name, strength) for it in methods]
        return Bound(
            tuple(dict.fromkeys(tie for it in found for tie in it.ties)),
            tuple(dict.fromkeys(variable for it in found for variable in it.follows)),
            any(it.ends for it in found),
            any(it.notices for it in found),
            any(it.ends_early for it in found),
            any(it.notices_early for it in found),
            (any(it.sizes[0] for it in found), any(it.sizes[1] for it in found)),
            (any(it.resizes[0] for it in found), any(it.resizes[1] for it in found)),
        )

    def _bound_once(self, method: BoundMethod, name: str, strength: Strength | None) -> Bound:
        element = method.elements[name]
        key = (element.digest, method.signature.digest, strength)
        if key not in self._bound:
            self._bound[key] = bound_of(element, method.signature, self.properties(element), strength)
        return self._bound[key]

    def costs(self, element: Element, prices: tuple[TargetCosts, ...], profile: Profile) -> Costs:
        """What the element costs at these prices, where this was seen of its chain."""
        refused = profile.refused.get(element.name)
        key = (element.digest, prices, refused)
        if key not in self._costs:
            self._costs[key] = costs_of(element, prices, refused)
        return self._costs[key]

    def decide(self, methods: Sequence[BoundMethod], first: Element, second: Element, strength: Strength) -> Decision:
        """Decides a pair for all methods: its elements stand in one order, since each has one state for all of them."""
        proved: list[Proved] = []
        for method in methods:
            pair = (method.elements[first.name], method.elements[second.name], method.signature)
            decision = self._decide_once(pair, strength)
            if not isinstance(decision, Proved):
                return decision
            proved.append(decision)
        return Proved(proved[0].reason, any(it.status_may_differ for it in proved))

    def _decide_once(self, pair: _Pair, strength: Strength) -> Decision:
        key = (pair[0].digest, pair[1].digest, pair[2].digest, strength)
        found = self._decisions.get(key)
        if found is None:
            found = self._decisions[key] = self._decide(pair, strength)
        return found

    def _decide(self, pair: _Pair, strength: Strength) -> Decision:
        by_hand = {it.element: it for it in map(self.properties, pair[:2]) if it.by_hand}
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, not the plan
            return decide(*pair, strength, cache=self._cache, by_hand=by_hand)
        return decide(*pair, strength, by_hand=by_hand)
