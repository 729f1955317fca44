"""May two neighbours on a chain swap?"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from appnet.analysis.beginnings import begins_elsewhere
from appnet.analysis.cache import DecisionCache, decision_key
from appnet.analysis.decision import Decision, Proved, Refuted, Strength, Unknown
from appnet.analysis.properties import Properties, infer
from appnet.analysis.search import search
from appnet.analysis.syntactic import decide_by_properties
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature


def decide(
    first: Element,
    second: Element,
    method: MethodSignature,
    strength: Strength,
    *,
    cache: DecisionCache | None = None,
    by_hand: Mapping[str, Properties] | None = None,
) -> Decision:
    """Whether a chain with ``first`` right before ``second`` is the same when the two are swapped.

    The answer holds in every chain, whatever stands around the two. With a ``cache`` what was settled before is not
    decided again; where it cannot be written, it will be. Where one of the two is among ``by_hand``, as
    `load_overrides` gives them, its code is not looked at: properties alone decide.
    """
    if by_hand and (first.name in by_hand or second.name in by_hand):
        properties = [by_hand.get(it.name) or infer(it) for it in (first, second)]
        return decide_by_properties(properties[0], properties[1], strength)
    key = decision_key(first, second, method, strength)
    known = cache.get(key) if cache is not None else None
    if known is not None:
        return known
    decision = _decide(first, second, method, strength)
    if cache is not None and (isinstance(decision, Refuted) or decision.settled):
        with contextlib.suppress(OSError):
            cache.put(key, decision)
    return decision


def proved_or_unknown(first: Element, second: Element, method: MethodSignature, strength: Strength) -> Proved | Unknown:
    """The same without a search for a run that tells the orders apart."""
    for one, other in ((first, second), (second, first)):
        if begins_elsewhere(one, other, method, strength):
            reason = f"{one.name} would see calls begin at another time: headers wait for the `req` of {other.name}"
            return Unknown(reason)
    at_once = decide_by_properties(infer(first), infer(second), strength)
    if isinstance(at_once, Proved) and not at_once.status_may_differ:
        return at_once
    from appnet.analysis.prove import prove  # noqa: PLC0415 -- z3 takes a while to load, and most commands prove nothing

    proved = prove(first, second, method, strength)
    return proved if isinstance(proved, Proved) else at_once if isinstance(at_once, Proved) else proved


def _decide(first: Element, second: Element, method: MethodSignature, strength: Strength) -> Decision:
    proved = proved_or_unknown(first, second, method, strength)
    found = search(first, second, method, strength) if isinstance(proved, Unknown) else None
    return Refuted(found) if found is not None else proved
