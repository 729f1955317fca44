"""An editor that converses with `appnetctl lsp` over standard input and output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

PATIENCE = 30.0  # seconds; a machine under load starts Python slowly


class Editor:
    """A client with one server, and the diagnostics that the server published last for each document."""

    def __init__(self, client: LanguageClient) -> None:
        self.client = client
        self.published: asyncio.Queue[lsp.PublishDiagnosticsParams] = asyncio.Queue()
        self.traced: list[str] = []
        self.version = 0

        @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params: lsp.PublishDiagnosticsParams) -> None:
            self.published.put_nowait(params)

        @client.feature(lsp.LOG_TRACE)
        def traced(params: lsp.LogTraceParams) -> None:
            self.traced.append(params.message)

    def open(self, path: Path, language: str = "appnet") -> lsp.TextDocumentIdentifier:
        item = lsp.TextDocumentItem(path.as_uri(), language, self.version, path.read_text(encoding="utf-8"))
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        return lsp.TextDocumentIdentifier(item.uri)

    def change(self, document: lsp.TextDocumentIdentifier, text: str) -> None:
        self.version += 1
        versioned = lsp.VersionedTextDocumentIdentifier(self.version, document.uri)
        whole = lsp.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(versioned, [whole]))

    async def diagnostics(self) -> list[lsp.Diagnostic]:
        """Those that are published next."""
        return list((await asyncio.wait_for(self.published.get(), PATIENCE)).diagnostics)

    async def told(self) -> list[str]:
        """The codes of those that are published next."""
        return [str(it.code) for it in await self.diagnostics()]

    async def hover(self, document: lsp.TextDocumentIdentifier, place: lsp.Position) -> str:
        found = await self.client.text_document_hover_async(lsp.HoverParams(document, place))
        assert found is not None
        assert isinstance(found.contents, lsp.MarkupContent)
        return found.contents.value

    async def definition(self, document: lsp.TextDocumentIdentifier, place: lsp.Position) -> lsp.Location:
        found = await self.client.text_document_definition_async(lsp.DefinitionParams(document, place))
        assert isinstance(found, lsp.Location)
        return found


@asynccontextmanager
async def editor() -> AsyncIterator[Editor]:
    client = LanguageClient("test", "1")
    opened = Editor(client)
    await client.start_io(sys.executable, "-m", "appnet", "lsp")
    try:
        trace = lsp.TraceValue.Messages
        root = lsp.InitializeParams(capabilities=lsp.ClientCapabilities(), process_id=None, trace=trace)
        await asyncio.wait_for(client.initialize_async(root), PATIENCE)
        client.initialized(lsp.InitializedParams())
        yield opened
    finally:
        await asyncio.wait_for(client.shutdown_async(None), PATIENCE)
        client.exit(None)
        await asyncio.wait_for(client.stop(), PATIENCE)


def offset(text: str, place: lsp.Position) -> int:
    return sum(len(line) + 1 for line in text.split("\n")[: place.line]) + place.character


def applied(text: str, edits: list[lsp.TextEdit]) -> str:
    """As an editor does it; what it counts in is ASCII here."""
    for it in sorted(edits, key=lambda it: offset(text, it.range.start), reverse=True):
        text = text[: offset(text, it.range.start)] + it.new_text + text[offset(text, it.range.end) :]
    return text


def edits_of(edit: lsp.WorkspaceEdit | None, document: lsp.TextDocumentIdentifier) -> list[lsp.TextEdit]:
    assert edit is not None
    assert edit.changes is not None
    assert list(edit.changes) == [document.uri]
    return [it for it in edit.changes[document.uri] if isinstance(it, lsp.TextEdit)]


async def actions(it: Editor, document: lsp.TextDocumentIdentifier, place: lsp.Position) -> dict[str, lsp.CodeAction]:
    params = lsp.CodeActionParams(document, lsp.Range(place, place), lsp.CodeActionContext([]))
    found = await it.client.text_document_code_action_async(params)
    return {action.title: action for action in found or () if isinstance(action, lsp.CodeAction)}
