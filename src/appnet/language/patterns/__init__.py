"""Regular expressions of `matches`: RE2's syntax, made into a table that is read once for each byte of the text."""

from appnet.language.patterns.automaton import Automaton, compile_pattern
from appnet.language.patterns.tree import PatternError

__all__ = ["Automaton", "PatternError", "compile_pattern"]
