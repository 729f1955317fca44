"""`appnetctl lsp`: the language server."""

from __future__ import annotations

from appnet.editor.server import make_server


def command() -> None:
    """Run the language server for editors, on standard input and output."""
    make_server().start_io()
