"""What can be proven about elements: their properties, and which neighbours on a chain may swap."""

from appnet.analysis.cache import DecisionCache
from appnet.analysis.decide import decide
from appnet.analysis.decision import Counterexample, Decision, Event, Proved, Refuted, Strength, Unknown
from appnet.analysis.overrides import Overrides, Vocabulary, load_overrides
from appnet.analysis.properties import HandlerProperties, Properties, infer

__all__ = [
    "Counterexample",
    "Decision",
    "DecisionCache",
    "Event",
    "HandlerProperties",
    "Overrides",
    "Properties",
    "Proved",
    "Refuted",
    "Strength",
    "Unknown",
    "Vocabulary",
    "decide",
    "infer",
    "load_overrides",
]
