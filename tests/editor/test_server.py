"""A conversation with `appnetctl lsp` over standard input and output, as an editor has it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lsprotocol import types as lsp

from tests.editor.conversation import editor
from tests.support.asynchronous import asynchronous

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ECHO, tmp_path / "echo"))


@pytest.mark.e2e
@asynchronous
async def test_a_conversation(echo: Path) -> None:
    async with editor() as it:
        path = echo / "firewall.appnet"
        text = path.read_text(encoding="utf-8")
        document = it.open(path)
        assert await it.diagnostics() == []

        wrong = text.replace("'Body'", "'Bodi'")
        it.change(document, wrong)
        (told,) = await it.diagnostics()
        assert (told.code, told.severity, told.source) == ("E014", lsp.DiagnosticSeverity.Error, "appnet")
        assert (
            wrong.split("\n")[told.range.start.line][told.range.start.character : told.range.end.character] == "'Bodi'"
        )
        assert "did you mean `Body`?" in told.message

        place = lsp.Position(told.range.start.line, told.range.start.character + 1)
        offered = await it.client.text_document_completion_async(lsp.CompletionParams(document, place))
        assert isinstance(offered, list)
        assert [(item.label, item.kind) for item in offered] == [("Body", lsp.CompletionItemKind.Field)]

        it.change(document, text)
        assert await it.diagnostics() == []
        assert (await it.hover(document, place)).startswith("field `Body`: `string`")

        lines = text.split("\n")
        use = next(number for number, line in enumerate(lines) if "get(acl" in line)
        there = lsp.Position(use, lines[use].index("acl"))
        found = await it.definition(document, there)
        assert (found.uri, lines[found.range.start.line].strip()) == (document.uri, "acl: Map<string, string>")

        assert (await it.definition(document, place)).uri == (echo / "echo.proto").resolve().as_uri()

        it.change(document, text.replace("    ", "\t"))
        await it.diagnostics()
        options = lsp.FormattingOptions(tab_size=4, insert_spaces=True)
        edits = await it.client.text_document_formatting_async(lsp.DocumentFormattingParams(document, options))
        assert edits is not None
        assert [edit.new_text for edit in edits] == [text]

        it.client.text_document_did_close(lsp.DidCloseTextDocumentParams(document))
        assert await it.diagnostics() == []


@pytest.mark.e2e
@asynchronous
async def test_places_are_counted_as_the_client_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "it.appnet"
    line = "    send(err(concat('🙂', missing)), Up)"
    path.write_text(f"state:\n    pass\n\ninit():\n    pass\n\nreq(rpc):\n{line}\n\nresp(rpc):\n    send(rpc, Up)\n")
    async with editor() as it:
        it.open(path)
        (told,) = await it.diagnostics()
        assert told.range.start.character == line.index("missing") + 1  # UTF-16 counts the face as two


@pytest.mark.e2e
@asynchronous
async def test_other_places_are_related_information(echo: Path) -> None:
    path = echo / "firewall.appnet"
    text = path.read_text(encoding="utf-8")
    async with editor() as it:
        it.open(path)
        assert await it.diagnostics() == []
        wrong = text.replace("state:\n", "state:\n    acl: Map<string, string>\n")
        it.change(lsp.VersionedTextDocumentIdentifier(version=2, uri=path.as_uri()), wrong)
        (told,) = await it.diagnostics()
        (first,) = told.related_information or ()
        line = next(number for number, line in enumerate(wrong.split("\n")) if "acl:" in line)
        assert (first.message, first.location.uri) == ("first declared here", path.as_uri())
        assert (first.location.range.start, told.range.start.line) == (lsp.Position(line, 4), line + 1)


@pytest.mark.e2e
@asynchronous
async def test_configurations_and_what_saving_them_changes(echo: Path) -> None:
    config = echo / "sample_echo_sidecar.yaml"
    async with editor() as it:
        it.open(echo / "firewall.appnet")
        assert await it.diagnostics() == []
        document = it.open(config, "yaml")
        assert await it.diagnostics() == []
        proto = echo / "echo.proto"
        proto.write_text(proto.read_text().replace("Body", "Text").replace("body", "text"))
        it.client.text_document_did_save(lsp.DidSaveTextDocumentParams(document))
        told = [diagnostic for _ in range(2) for diagnostic in await it.diagnostics()]
        assert "E014" in {diagnostic.code for diagnostic in told}
        manifest = echo / "echo.yaml"
        it.open(manifest, "yaml")  # no AppNetConfig: nothing is said of it
        hover = lsp.HoverParams(lsp.TextDocumentIdentifier(manifest.as_uri()), lsp.Position(0, 0))
        assert await it.client.text_document_hover_async(hover) is None
        assert it.published.empty()
