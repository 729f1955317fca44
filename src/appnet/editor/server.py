"""The language server: keeps what an editor has open checked, each version of a text once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from appnet import __version__
from appnet.application.kinds import is_behaviour
from appnet.compile.check import check_element
from appnet.diagnostics.diagnostic import Diagnostic
from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.remedy import Edit, Remedy
from appnet.diagnostics.source import FileSource, TextSource, base_name
from appnet.editor.convert import SEVERITIES, path_of, range_of, uri_of
from appnet.editor.document import ElementText
from appnet.editor.edits import settled
from appnet.editor.yaml_text import CheckedFile, YamlText

MOST_CHARACTERS = 500_000
"""Of a text that is looked at while somebody types."""

Check = Callable[[FileSource], list[Diagnostic]]
Text = ElementText | YamlText | CheckedFile
S = TypeVar("S", bound=Source)
T = TypeVar("T")

_DELAY = {".appnet": 0.15}  # seconds after the last keystroke until a text is checked
_LONGER = 0.3  # for files that bring others with them
_SUFFIXES = frozenset({".appnet", ".proto", ".yaml", ".yml"})
_TOO_LONG = f"longer than {MOST_CHARACTERS:,} characters: `appnetctl check` says what is wrong with it"


class AppNetServer(LanguageServer):
    """Keeps what its clients have open checked; ``check`` tells what is wrong with files that are no elements."""

    def __init__(self, check: Check) -> None:
        super().__init__("appnet", f"v{__version__}")
        self._check = check
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._known: dict[str, tuple[int | None, Text]] = {}
        self._told: set[str] = set()

    # --- texts ---

    def document(self, uri: str) -> TextDocument:
        """The text that the client has open under ``uri``, else the file's."""
        return self.workspace.get_text_document(uri)

    def text(self, uri: str) -> Text | None:
        """What is known of the document as it is now; None for one that is not AppNet's, or too long."""
        path, document = path_of(uri), self.document(uri)
        if uri not in self.workspace.text_documents or path.suffix not in _SUFFIXES or self._too_long(document):
            return None
        version, known = self._known.get(uri, (None, None))
        if known is None or version != document.version:
            known = self._read(path, document.source)
            self._known[uri] = document.version, known
        ours = not isinstance(known, YamlText) or known.kind or is_behaviour(path.name)
        return known if ours else None

    def element(self, uri: str) -> ElementText | None:
        """As `text`, of an element."""
        found = self.text(uri)
        return found if isinstance(found, ElementText) else None

    def place(self, uri: str, position: lsp.Position) -> tuple[int, int]:
        """The line and column of ``position`` in the document, from 1, in characters."""
        document = self.document(uri)
        place = document.position_codec.position_from_client_units(document.lines, position)
        return place.line + 1, place.character + 1

    def _read(self, path: Path, text: str) -> Text:
        source = TextSource(path, text)
        if path.suffix == ".appnet":
            return ElementText(source, self._traced(check_element))
        return (CheckedFile if path.suffix == ".proto" else YamlText)(source, self._traced(self._check))

    def _traced(self, check: Callable[[S], T]) -> Callable[[S], T]:
        """The check, which tells a client that wants to know how long it took."""

        def traced(source: S) -> T:
            begin = time.process_time()
            found = check(source)
            if self.protocol.trace is not lsp.TraceValue.Off:
                took = f"checked {base_name(source)} in {time.process_time() - begin:.3f} s"
                self.log_trace(lsp.LogTraceParams(took))
            return found

        return traced

    def _too_long(self, document: TextDocument) -> bool:
        return len(document.source) > MOST_CHARACTERS

    # --- checking ---

    def check_soon(self, uri: str) -> None:
        """Checks the document once nothing has changed for a moment."""
        self._forget_check(uri)
        delay = _DELAY.get(path_of(uri).suffix, _LONGER)
        self._waiting[uri] = asyncio.get_running_loop().call_later(delay, self.check, uri)

    def close(self, uri: str) -> None:
        """Says and knows nothing more of the document."""
        self._forget_check(uri)
        self._known.pop(uri, None)
        self._publish(uri, [])
        self._told.discard(uri)

    def check(self, uri: str) -> None:
        """Tells the client everything that is wrong with the document."""
        self._waiting.pop(uri, None)
        document, text = self.document(uri), self.text(uri)
        if text is not None:
            self._publish(uri, [self.diagnostic(document, it) for it in text.diagnostics], document.version)
        elif path_of(uri).suffix == ".appnet" and self._too_long(document):
            first = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 1))
            told = lsp.Diagnostic(first, _TOO_LONG, lsp.DiagnosticSeverity.Information, source="appnet")
            self._publish(uri, [told], document.version)
        elif uri in self._told:  # it was ours before
            self._publish(uri, [], document.version)

    def check_again(self, changed: Collection[str]) -> None:
        """Checks anew what is open and may hang on the files that changed. No element hangs on another."""
        elements = all(path_of(it).suffix == ".appnet" for it in changed)
        for uri in list(self.workspace.text_documents):
            if not elements or uri in changed or path_of(uri).suffix != ".appnet":
                self._known.pop(uri, None)
                self.check(uri)

    def _forget_check(self, uri: str) -> None:
        if (waiting := self._waiting.pop(uri, None)) is not None:
            waiting.cancel()

    def _publish(self, uri: str, told: list[lsp.Diagnostic], version: int | None = None) -> None:
        self._told.add(uri)
        params = lsp.PublishDiagnosticsParams(uri=uri, diagnostics=told, version=version)
        self.text_document_publish_diagnostics(params)

    # --- as the client has it ---

    def location(self, uri: str, span: Span) -> lsp.Location:
        """The place, in the document ``uri`` or another file, as the client counts it."""
        there = self._uri(uri, span.source)
        return lsp.Location(there, range_of(self.document(there), span))

    def diagnostic(self, document: TextDocument, found: Diagnostic) -> lsp.Diagnostic:
        """As the client shows it; of what lies in another file, where it lies is told in the first line."""
        source = FileSource(path_of(document.uri))
        message = "\n".join(filter(None, (found.title, found.label, f"help: {found.help}" if found.help else "")))
        related, place = list(found.places), found.span
        if found.span.source != source:
            related.insert(0, Label(found.span, found.title))
            place = Span.whole(source)
            message = f"{base_name(found.span.source)}:{found.span.line}: {message}"
        return lsp.Diagnostic(
            range=range_of(document, place),
            message=message,
            severity=SEVERITIES[found.severity],
            code=found.code,
            source="appnet",
            related_information=[self._related(document.uri, it) for it in related] or None,
        )

    def edit(self, uri: str, edits: Iterable[Edit]) -> lsp.WorkspaceEdit:
        """The edits, in the document ``uri`` or other files."""
        changes: dict[str, list[lsp.TextEdit]] = {}
        for it in edits:
            there = self._uri(uri, it.span.source)
            document = self.document(there)
            whole = settled(it, document.source.split("\n"))
            changes.setdefault(there, []).append(lsp.TextEdit(range_of(document, whole.span), whole.text))
        return lsp.WorkspaceEdit(changes=dict(changes))

    def action(self, uri: str, found: Diagnostic, remedy: Remedy) -> lsp.CodeAction:
        """The remedy as something that the client can apply."""
        return lsp.CodeAction(
            remedy.title,
            lsp.CodeActionKind.QuickFix,
            [self.diagnostic(self.document(uri), found)],
            is_preferred=len(found.remedies) == 1,
            edit=self.edit(uri, remedy.edits),
        )

    def _uri(self, uri: str, source: Source) -> str:
        return uri if source == FileSource(path_of(uri)) else uri_of(source) or uri

    def _related(self, uri: str, label: Label) -> lsp.DiagnosticRelatedInformation:
        return lsp.DiagnosticRelatedInformation(self.location(uri, label.span), label.text)
