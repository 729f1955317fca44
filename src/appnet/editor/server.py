"""The language server: elements, AppNetConfigs and .proto files over the Language Server Protocol."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path
from pygls.workspace import TextDocument

from appnet import __version__
from appnet.application.kinds import is_meant
from appnet.compile.check import check_source
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Label, Span
from appnet.diagnostics.source import FileSource, TextSource, base_name
from appnet.editor.document import Completion, ElementText
from appnet.language.formatter import format_program

_DELAY = 0.15  # seconds after the last keystroke until a program is checked
_KINDS = {
    "field": lsp.CompletionItemKind.Field,
    "function": lsp.CompletionItemKind.Function,
    "variable": lsp.CompletionItemKind.Variable,
    "keyword": lsp.CompletionItemKind.Keyword,
    "type": lsp.CompletionItemKind.Class,
    "constant": lsp.CompletionItemKind.Constant,
}
_SEVERITIES = {
    Severity.ERROR: lsp.DiagnosticSeverity.Error,
    Severity.WARNING: lsp.DiagnosticSeverity.Warning,
    Severity.NOTE: lsp.DiagnosticSeverity.Information,
}


class AppNetServer(LanguageServer):
    """Keeps what its clients have open checked."""

    def __init__(self) -> None:
        super().__init__("appnet", f"v{__version__}")
        self._waiting: dict[str, asyncio.TimerHandle] = {}

    def document(self, uri: str) -> TextDocument:
        """The text that the client has open under ``uri``, else the file's."""
        return self.workspace.get_text_document(uri)

    def check_soon(self, uri: str) -> None:
        """Checks the document once nothing has changed for a moment."""
        self.forget(uri)
        self._waiting[uri] = asyncio.get_running_loop().call_later(_DELAY, self.check, uri)

    def forget(self, uri: str) -> None:
        """Leaves out a check that has not begun."""
        if (waiting := self._waiting.pop(uri, None)) is not None:
            waiting.cancel()

    def check(self, uri: str) -> None:
        """Tells the client everything that is wrong with the document."""
        self._waiting.pop(uri, None)
        document = self.document(uri)
        path = _path(uri)
        if path.suffix in {".yaml", ".yml"} and not is_meant(document.source):
            return  # of another program
        source = TextSource(path, document.source)
        told = [self._diagnostic(document, it) for it in check_source(source)]
        self.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(uri=uri, diagnostics=told, version=document.version)
        )

    def check_all(self) -> None:
        """Checks everything that is open, as an element's method may have changed with a configuration or .proto."""
        for uri in list(self.workspace.text_documents):
            self.check(uri)

    def element(self, uri: str, position: lsp.Position) -> tuple[ElementText, int, int]:
        """The element's text, and the line and column of ``position`` in it, from 1."""
        document = self.document(uri)
        place = document.position_codec.position_from_client_units(document.lines, position)
        return ElementText(TextSource(_path(uri), document.source)), place.line + 1, place.character + 1

    def location(self, uri: str, span: Span) -> lsp.Location:
        """The place, in the document ``uri`` or another file, as the client counts it."""
        here = span.source == FileSource(_path(uri))
        there = uri if here else _uri(span) or uri
        return lsp.Location(there, _range(self.document(there), span))

    def _diagnostic(self, document: TextDocument, found: Diagnostic) -> lsp.Diagnostic:
        """As the client shows it; of what lies in another file, where it lies is told in the first line."""
        source = FileSource(_path(document.uri))
        message = "\n".join(filter(None, (found.title, found.label, f"help: {found.help}" if found.help else "")))
        related, place = list(found.places), found.span
        if found.span.source != source:
            related.insert(0, Label(found.span, found.title))
            place = Span.whole(source)
            message = f"{base_name(found.span.source)}:{found.span.line}: {message}"
        return lsp.Diagnostic(
            range=_range(document, place),
            message=message,
            severity=_SEVERITIES[found.severity],
            code=found.code,
            source="appnet",
            related_information=[self._related(document.uri, it) for it in related] or None,
        )

    def _related(self, uri: str, label: Label) -> lsp.DiagnosticRelatedInformation:
        return lsp.DiagnosticRelatedInformation(self.location(uri, label.span), label.text)


def make_server() -> AppNetServer:
    """A server that answers; `start_io` runs it on standard input and output."""
    server = AppNetServer()
    _keep_checked(server)
    _answer(server)
    return server


def _keep_checked(server: AppNetServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.check(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        if _path(params.text_document.uri).suffix == ".appnet":
            server.check_soon(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def saved(_: lsp.DidSaveTextDocumentParams) -> None:
        server.check_all()

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.forget(uri)
        server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri=uri, diagnostics=[]))


def _answer(server: AppNetServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        if not _is_element(params.text_document.uri):
            return None
        element, line, column = server.element(params.text_document.uri, params.position)
        text = element.hover(line, column)
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text)) if text else None

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def definition(params: lsp.DefinitionParams) -> lsp.Location | None:
        uri = params.text_document.uri
        if not _is_element(uri):
            return None
        element, line, column = server.element(uri, params.position)
        span = element.definition(line, column)
        return server.location(uri, span) if span else None

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=["'", '"', ".", "@", ","]))
    def completion(params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        if not _is_element(params.text_document.uri):
            return []
        element, line, column = server.element(params.text_document.uri, params.position)
        return [_item(it) for it in element.completions(line, column)]

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        if not _is_element(params.text_document.uri):
            return None
        document = server.document(params.text_document.uri)
        try:
            text = format_program(TextSource(_path(params.text_document.uri), document.source))
        except DiagnosticError:
            return None  # what is wrong with it is told already
        whole = lsp.Range(lsp.Position(0, 0), lsp.Position(len(document.lines), 0))
        return [lsp.TextEdit(whole, text)] if text != document.source else []


def _path(uri: str) -> Path:
    return Path(to_fs_path(uri) or uri)


def _uri(span: Span) -> str:
    """The file that the place is in; empty where it is in none."""
    path = span.source.path
    return (from_fs_path(os.path.realpath(path)) or "") if path is not None else ""


def _is_element(uri: str) -> bool:
    return _path(uri).suffix == ".appnet"


def _range(document: TextDocument, span: Span) -> lsp.Range:
    """The span, whose columns count characters, as the client counts them."""
    start = lsp.Position(span.line - 1, span.column - 1)
    end = lsp.Position(span.end_line - 1, span.end_column - 1)
    try:
        lines = document.lines
    except (OSError, UnicodeError):  # what is wrong with it is told, perhaps
        lines = []
    return document.position_codec.range_to_client_units(lines, lsp.Range(start, end))


def _item(completion: Completion) -> lsp.CompletionItem:
    documentation = lsp.MarkupContent(lsp.MarkupKind.Markdown, completion.documentation)
    return lsp.CompletionItem(
        label=completion.text,
        kind=_KINDS[completion.kind],
        detail=completion.detail or None,
        documentation=documentation if completion.documentation else None,
    )
