"""Behaviour files: sequences of RPCs beside an element, with what must become of them, and what runs them."""
