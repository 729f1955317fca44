"""Places, names of files and what is offered, as the Language Server Protocol has them."""

from __future__ import annotations

import os
from pathlib import Path

from lsprotocol import types as lsp
from pygls.uris import from_fs_path, to_fs_path
from pygls.workspace import TextDocument

from appnet.diagnostics.diagnostic import Severity
from appnet.diagnostics.place import Source, Span
from appnet.editor.calls import CallHelp
from appnet.editor.document import Completion
from appnet.editor.outline import Symbol

SEVERITIES = {
    Severity.ERROR: lsp.DiagnosticSeverity.Error,
    Severity.WARNING: lsp.DiagnosticSeverity.Warning,
    Severity.NOTE: lsp.DiagnosticSeverity.Information,
}
_KINDS = {
    "field": lsp.CompletionItemKind.Field,
    "function": lsp.CompletionItemKind.Function,
    "variable": lsp.CompletionItemKind.Variable,
    "keyword": lsp.CompletionItemKind.Keyword,
    "type": lsp.CompletionItemKind.Class,
    "constant": lsp.CompletionItemKind.Constant,
    "key": lsp.CompletionItemKind.Property,
    "name": lsp.CompletionItemKind.Value,
}
_SYMBOLS = {
    "state": lsp.SymbolKind.Namespace,
    "init": lsp.SymbolKind.Constructor,
    "handler": lsp.SymbolKind.Function,
    "variable": lsp.SymbolKind.Variable,
}


def path_of(uri: str) -> Path:
    """The file that is meant."""
    return Path(to_fs_path(uri) or uri)


def uri_of(source: Source) -> str:
    """What the client calls the file; empty for what is none."""
    return (from_fs_path(os.path.realpath(source.path)) or "") if source.path is not None else ""


def range_of(document: TextDocument, span: Span) -> lsp.Range:
    """The span, whose columns count characters, as the client counts them."""
    start = lsp.Position(span.line - 1, span.column - 1)
    end = lsp.Position(span.end_line - 1, span.end_column - 1)
    try:
        lines = document.lines
    except (OSError, UnicodeError):  # what is wrong with it is told, perhaps
        lines = []
    return document.position_codec.range_to_client_units(lines, lsp.Range(start, end))


def item_of(completion: Completion, line: int, column: int) -> lsp.CompletionItem:
    """What is offered at the place, counted from 1 as the client counts."""
    documentation = lsp.MarkupContent(lsp.MarkupKind.Markdown, completion.documentation)
    text, edit = completion.insert or completion.text, None
    if completion.replaces is not None:
        start = lsp.Position(line - 1, column - 1 - completion.replaces)
        edit = lsp.TextEdit(lsp.Range(start, lsp.Position(line - 1, column - 1)), text)
    return lsp.CompletionItem(
        label=completion.text,
        kind=_KINDS[completion.kind],
        detail=completion.detail or None,
        documentation=documentation if completion.documentation else None,
        insert_text=text if text != completion.text and edit is None else None,
        text_edit=edit,
    )


def symbol_of(document: TextDocument, source: Source, symbol: Symbol) -> lsp.DocumentSymbol:
    """The symbol with those inside it."""
    last = len(source.text().split("\n")[symbol.last_line - 1]) + 1
    return lsp.DocumentSymbol(
        symbol.name,
        _SYMBOLS[symbol.kind],
        range_of(document, Span(source, symbol.line, 1, symbol.last_line, last)),
        range_of(document, Span(source, symbol.line, symbol.column, symbol.line, symbol.end_column)),
        symbol.detail or None,
        children=[symbol_of(document, source, it) for it in symbol.inner],
    )


def signatures_of(found: CallHelp) -> lsp.SignatureHelp:
    """The ways to call a function."""
    ways = [
        lsp.SignatureInformation(
            it.text,
            lsp.MarkupContent(lsp.MarkupKind.Markdown, it.meaning),
            [lsp.ParameterInformation(name) for name in it.parameters],
        )
        for it in found.usages
    ]
    return lsp.SignatureHelp(ways, found.meant, found.parameter)
