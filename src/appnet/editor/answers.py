"""The requests that the language server answers."""

from __future__ import annotations

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.place import Span
from appnet.diagnostics.remedy import Edit
from appnet.editor.calls import call_help
from appnet.editor.convert import item_of, range_of, signatures_of, symbol_of
from appnet.editor.document import ElementText
from appnet.editor.names import RenameError, nameable, references, renamed
from appnet.editor.outline import outline
from appnet.editor.server import AppNetServer, Check
from appnet.editor.yaml_text import YamlText
from appnet.language.braces import has_braces
from appnet.language.formatter import format_program

_TRIGGERS = ["'", '"', ".", "@", ",", ":", "/"]
_REWRITE = lsp.CodeActionKind.RefactorRewrite
_REQUEST_FAILED = -32803


def make_server(check: Check) -> AppNetServer:
    """A server that answers; `start_io` runs it on standard input and output.

    ``check``: tells what is wrong with a file that is no element.
    """
    server = AppNetServer(check)
    _keep_checked(server)
    _look_up(server)
    _name(server)
    _write(server)
    return server


def _keep_checked(server: AppNetServer) -> None:
    @server.feature(lsp.INITIALIZE)
    def initialize(params: lsp.InitializeParams) -> None:
        server.protocol.trace = params.trace or lsp.TraceValue.Off

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.check(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        server.check_soon(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        server.check_again([params.text_document.uri])

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def changed_elsewhere(params: lsp.DidChangeWatchedFilesParams) -> None:
        changed = [it.uri for it in params.changes if it.uri not in server.workspace.text_documents]
        if changed:  # others were saved here
            server.check_again(changed)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        server.close(params.text_document.uri)


def _look_up(server: AppNetServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        uri = params.text_document.uri
        text = server.text(uri)
        told = text.hover(*server.place(uri, params.position)) if isinstance(text, ElementText | YamlText) else ""
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, told)) if told else None

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def definition(params: lsp.DefinitionParams) -> lsp.Location | None:
        uri = params.text_document.uri
        element = server.element(uri)
        span = element.definition(*server.place(uri, params.position)) if element is not None else None
        return server.location(uri, span) if span else None

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def symbols(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        uri = params.text_document.uri
        element = server.element(uri)
        found = outline(element.lines) if element is not None else []
        return [symbol_of(server.document(uri), element.source, it) for it in found if element is not None]

    @server.feature(lsp.TEXT_DOCUMENT_SIGNATURE_HELP, lsp.SignatureHelpOptions(trigger_characters=["(", ","]))
    def signature(params: lsp.SignatureHelpParams) -> lsp.SignatureHelp | None:
        uri = params.text_document.uri
        element = server.element(uri)
        found = call_help(element, *server.place(uri, params.position)) if element is not None else None
        return signatures_of(found) if found is not None else None


def _name(server: AppNetServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    def places(params: lsp.ReferenceParams) -> list[lsp.Location]:
        uri = params.text_document.uri
        element = server.element(uri)
        if element is None:
            return []
        line, column = server.place(uri, params.position)
        spans = references(element, line, column)
        declared = element.definition(line, column)
        kept = spans if params.context.include_declaration else [it for it in spans if it != declared]
        return [server.location(uri, it) for it in kept]

    @server.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare(params: lsp.PrepareRenameParams) -> lsp.Range | None:
        uri = params.text_document.uri
        element = server.element(uri)
        if element is None:
            return None
        try:
            return range_of(server.document(uri), nameable(element, *server.place(uri, params.position)))
        except RenameError as error:
            raise JsonRpcException(str(error), _REQUEST_FAILED) from error

    @server.feature(lsp.TEXT_DOCUMENT_RENAME, lsp.RenameOptions(prepare_provider=True))
    def rename(params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
        uri = params.text_document.uri
        element = server.element(uri)
        if element is None:
            return None
        try:
            edits = renamed(element, *server.place(uri, params.position), params.new_name)
        except RenameError as error:
            raise JsonRpcException(str(error), _REQUEST_FAILED) from error
        return server.edit(uri, edits)


def _write(server: AppNetServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=_TRIGGERS))
    def completion(params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        uri, position = params.text_document.uri, params.position
        text = server.text(uri)
        if not isinstance(text, ElementText | YamlText):
            return []
        offered = text.completions(*server.place(uri, position))
        return [item_of(it, position.line + 1, position.character + 1) for it in offered]

    @server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix, _REWRITE]))
    def actions(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        uri = params.text_document.uri
        text, document = server.text(uri), server.document(uri)
        if text is None:
            return []
        here = [it for it in text.diagnostics if _meet(server.diagnostic(document, it).range, params.range)]
        found = [server.action(uri, it, remedy) for it in here for remedy in it.remedies]
        wanted = params.context.only
        found += _upgrade(server, uri, text) if isinstance(text, ElementText) else []
        return [it for it in found if wanted is None or any(_is_of(it.kind or "", kind) for kind in wanted)]

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        uri = params.text_document.uri
        element = server.element(uri)
        if element is None:
            return None
        try:
            edits = _written_anew(element, upgrade=False)
        except DiagnosticError:
            return None  # what is wrong with it is told already
        return [lsp.TextEdit(range_of(server.document(uri), it.span), it.text) for it in edits]


def _upgrade(server: AppNetServer, uri: str, element: ElementText) -> list[lsp.CodeAction]:
    """A program in the older syntax, written in the present one."""
    if not has_braces(element.source.text()):
        return []
    try:
        edits = _written_anew(element, upgrade=True)
    except DiagnosticError:
        return []
    return [lsp.CodeAction("Write it in the present syntax", _REWRITE, edit=server.edit(uri, edits))]


def _written_anew(element: ElementText, *, upgrade: bool) -> list[Edit]:
    """The program in the layout of `appnetctl fmt`; nothing where it is. Raises `DiagnosticError`."""
    text = format_program(element.source, upgrade=upgrade)
    whole = Span(element.source, 1, 1, len(element.lines), len(element.lines[-1]) + 1)
    return [Edit(whole, text)] if text != element.source.text() else []


def _meet(one: lsp.Range, other: lsp.Range) -> bool:
    return _key(one.start) <= _key(other.end) and _key(other.start) <= _key(one.end)


def _key(position: lsp.Position) -> tuple[int, int]:
    return position.line, position.character


def _is_of(kind: str, wanted: str) -> bool:
    return kind == wanted or kind.startswith(wanted + ".")
