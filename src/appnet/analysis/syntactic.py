"""The cheap rule: two elements may swap where neither touches what the other does, and no ended RPC is missed.

It reads properties alone, so it also serves properties that were written by hand.
"""

from __future__ import annotations

from appnet.analysis.decision import Proved, Strength, Unknown
from appnet.analysis.properties import ANY, HandlerProperties, Properties


def decide_by_properties(first: Properties, second: Properties, strength: Strength) -> Proved | Unknown:
    """Whether the properties alone show that the order cannot be told; `Unknown` names what stands in the way."""
    for direction in ("request", "response"):
        reason = _conflict(getattr(first, direction), getattr(second, direction))
        if reason is not None:
            return Unknown(f"{direction}: {reason}")
    for replying, other in ((first, second), (second, first)):
        if replying.request.replies and (reason := _told_by_replies(other)) is not None:
            return Unknown(f"{replying.element} may reply, and {other.element} {reason}")
    both_end = _ends(first) and _ends(second)
    if strength is Strength.STRONG and both_end:
        return Unknown("both may end an RPC, and the caller sees which one did")
    for ending, other in ((first, second), (second, first)):
        if strength is Strength.STRONG and _ends(ending) and other.response.metadata_written:
            return Unknown(f"{ending.element} may end an RPC, and {other.element} sets metadata of errors")
        missed = other.lasting()
        if strength is Strength.WEAK:
            missed &= other.influencing
        if _ends(ending) and missed:
            return Unknown(f"{ending.element} may end an RPC that {other.element} records in `{min(missed)}`")
    marks = any(_ends(one) and other.response.metadata_written for one, other in ((first, second), (second, first)))
    return Proved("they touch nothing in common", status_may_differ=both_end or marks)


def _told_by_replies(other: Properties) -> str | None:
    """What shows whether a reply passed the element."""
    if _ends(other):
        return "may end an RPC"
    return "changes responses" if other.response.writes or other.response.metadata_written else None


def _ends(properties: Properties) -> bool:
    return properties.request.can_end or properties.response.can_end


def _conflict(first: HandlerProperties, second: HandlerProperties) -> str | None:
    for one, other in ((first, second), (second, first)):
        if clash := _meeting(one.writes, other.reads | other.writes):
            return f"field `{min(clash)}` is written by one and used by the other"
        if one.writes and other.reads_size:
            return "one writes a field, and the other reads the message's size"
        if clash := _common(one.metadata_written, other.metadata_read | other.metadata_written):
            return f"metadata `{min(clash)}` is written by one and used by the other"
        if one.sets_deadline and other.reads_deadline:
            return "the deadline is set by one and read by the other"
    return "both pick the host" if first.chooses_host and second.chooses_host else None


def _meeting(written: frozenset[str], used: frozenset[str]) -> frozenset[str]:
    """The fields written that are used, or have used ones in them, or are in such."""
    return frozenset(
        it
        for it in written
        if any(it == other or it.startswith(f"{other}.") or other.startswith(f"{it}.") for other in used)
    )


def _common(written: frozenset[str], used: frozenset[str]) -> frozenset[str]:
    if ANY in written and used:
        return used
    return written if ANY in used else written & used
