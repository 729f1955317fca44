"""What was found out about elements: each thing once, however many chains they stand on."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from appnet.analysis import Decision, DecisionCache, Proved, Strength, decide, infer
from appnet.analysis.overrides import Overrides
from appnet.analysis.properties import Properties
from appnet.application.load import BoundMethod
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.optimize.cost import CostModel, Costs, Profile, costs_of

_Pair = tuple[Element, Element, MethodSignature]


class Known:
    """Properties and costs of elements, and whether two of them may swap.

    Elements and methods are told apart by identity: what is read once should be loaded once.
    """

    def __init__(
        self,
        model: CostModel,
        target: str,
        cache: DecisionCache | None = None,
        by_hand: Overrides | None = None,
    ) -> None:
        self._model, self._target = model, target
        self._cache = cache if cache is not None else DecisionCache()
        self._by_hand = by_hand if by_hand is not None else Overrides({})
        self._properties: dict[int, tuple[Element, Properties]] = {}
        self._costs: dict[tuple[int, float | None], tuple[Element, Costs]] = {}
        self._decisions: dict[tuple[int, int, int, Strength], tuple[_Pair, Decision]] = {}

    def properties(self, element: Element) -> Properties:
        """What the element does."""
        found = self._properties.get(id(element))
        if found is None:
            inferred = infer(element)
            found = self._properties[id(element)] = (element, self._by_hand.of(inferred) or inferred)
        return found[1]

    def costs(self, element: Element, profile: Profile) -> Costs:
        """What the element costs where this was seen of its chain."""
        refused = profile.refused.get(element.name)
        found = self._costs.get((id(element), refused))
        if found is None:
            costs = costs_of(element, self._model, self._target, refused)
            found = self._costs[id(element), refused] = (element, costs)
        return found[1]

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
        key = (id(pair[0]), id(pair[1]), id(pair[2]), strength)
        found = self._decisions.get(key)
        if found is None:
            found = self._decisions[key] = (pair, self._decide(pair, strength))
        return found[1]

    def _decide(self, pair: _Pair, strength: Strength) -> Decision:
        by_hand = {it.element: it for it in map(self.properties, pair[:2]) if it.by_hand}
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, not the plan
            return decide(*pair, strength, cache=self._cache, by_hand=by_hand)
        return decide(*pair, strength, by_hand=by_hand)
