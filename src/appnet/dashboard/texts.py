"""What others wrote, as a page may show it."""

from __future__ import annotations

from html import escape


def plain(text: str) -> str:
    """What others wrote, without characters that show nothing or turn the line around."""
    return text if text.isprintable() else "".join(it if it.isprintable() else "\ufffd" for it in text)


def text_of(text: str) -> str:
    """The text as HTML, in an element or an attribute in quotes."""
    return escape(plain(text))
