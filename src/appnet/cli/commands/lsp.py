"""`appnetctl lsp`: the language server."""

from __future__ import annotations

from appnet.cli.behaviour import check_any
from appnet.editor.answers import make_server

EXAMPLES = ("appnetctl lsp",)
PAGE = "tools.md"


def command() -> None:
    """Run the language server for editors, on standard input and output."""
    make_server(check_any).start_io()
