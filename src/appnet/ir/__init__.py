"""Checked element to match-action form, and what can be said of it."""

from appnet.ir.compile import CompiledElement, compile_element

__all__ = ["CompiledElement", "compile_element"]
