"""What an editor can do with elements, over real messages of the Language Server Protocol."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from tests.editor.conversation import actions, applied, editor, edits_of
from tests.support.asynchronous import asynchronous

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"
SOURCE = """state:
    @capacity(10)
    seen: Map<string, int>
    limit: int

init(limit = 3):
    pass

req(rpc):
    key = get(rpc, 'body')
    match get(seen, key):
        Some(count) =>
            set(seen, key, count + limit)
        None =>
            set(seen, key, 1)
    send(rpc, Down)

resp(rpc):
    key = get(rpc, 'body')
    send(rpc, Up)
"""

pytestmark = pytest.mark.e2e


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(ECHO, tmp_path / "echo"))
    (folder / "firewall.appnet").write_text(SOURCE)
    return folder


def at(text: str, mark: str) -> lsp.Position:
    """The place of the ``|`` in ``mark``, whose text without it stands once in ``text``."""
    whole = mark.replace("|", "")
    assert text.count(whole) == 1
    before = text[: text.index(whole) + mark.index("|")]
    return lsp.Position(before.count("\n"), len(before) - before.rfind("\n") - 1)


@asynchronous
async def test_each_change_is_analysed_once(echo: Path) -> None:
    async with editor() as it:
        document = it.open(echo / "firewall.appnet")
        assert await it.diagnostics() == []
        for number in range(1, 4):
            it.traced.clear()
            text = SOURCE.replace("count + limit", f"count + limi + {number}")
            it.change(document, text)
            place = at(text, "li|mi +")
            await it.client.text_document_completion_async(lsp.CompletionParams(document, place))
            assert (await it.hover(document, at(text, "Some(cou|nt)"))).startswith("local `count`")
            await it.definition(document, at(text, "match get(se|en"))
            await it.client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
            await it.client.text_document_signature_help_async(lsp.SignatureHelpParams(document, place))
            assert await it.told() == ["E010"]
            assert list(await actions(it, document, place)) == ["Write `limit`"]
            assert [line.partition(" in ")[0] for line in it.traced] == ["checked firewall.appnet"]


@asynchronous
async def test_saving_an_element_checks_it_and_what_names_it_and_no_other_element(echo: Path) -> None:
    async with editor() as it:
        saved = it.open(echo / "firewall.appnet")
        it.open(echo / "fault.appnet")
        it.open(echo / "sample_echo_sidecar.yaml", "yaml")
        for _ in range(3):
            assert await it.diagnostics() == []
        it.traced.clear()
        it.client.text_document_did_save(lsp.DidSaveTextDocumentParams(saved))
        for _ in range(2):
            assert await it.diagnostics() == []
        checked = [line.partition(" in ")[0] for line in it.traced]
        assert checked == ["checked firewall.appnet", "checked sample_echo_sidecar.yaml"]


@asynchronous
async def test_a_remedy_is_applied_and_what_it_is_for_is_gone(echo: Path) -> None:
    async with editor() as it:
        document = it.open(echo / "firewall.appnet")
        assert await it.diagnostics() == []
        for wrong, title in (
            (SOURCE.replace("'body')\n    send", "'bodi')\n    send"), "Write `'Body'`"),
            (SOURCE.replace("    send(rpc, Down)\n", ""), "Add `send(rpc, Down)`"),
            (SOURCE.replace("send(rpc, Up)", "send(rpc, Down)"), "Write `Up`"),
            (SOURCE.replace("set(seen, key, 1)", "set(seen, 7, 1)"), "Write `to_string(…)`"),
            (SOURCE.replace("    send(rpc, Up)\n", "    send(rpc, Up)\n    key = 'x'\n"), "Remove it"),
        ):
            it.change(document, wrong)
            (told,) = await it.diagnostics()
            action = (await actions(it, document, told.range.start))[title]
            assert action.kind == lsp.CodeActionKind.QuickFix
            assert [known.code for known in action.diagnostics or ()] == [told.code]
            it.change(document, applied(wrong, edits_of(action.edit, document)))
            assert await it.diagnostics() == [], title


@asynchronous
async def test_a_program_in_the_older_syntax_is_rewritten(echo: Path) -> None:
    older = "state {}\nfn init() {}\nfn req(rpc) { send(rpc, NET); }\nfn resp(rpc) { send(rpc, APP); }\n"
    (echo / "firewall.appnet").write_text(older)
    async with editor() as it:
        document = it.open(echo / "firewall.appnet")
        assert await it.diagnostics() == []
        action = (await actions(it, document, lsp.Position(0, 0)))["Write it in the present syntax"]
        assert action.kind == lsp.CodeActionKind.RefactorRewrite
        text = applied(older, edits_of(action.edit, document))
        assert text.startswith("state:\n    pass\n")
        it.change(document, text)
        assert await it.diagnostics() == []
        assert await actions(it, document, lsp.Position(0, 0)) == {}


@asynchronous
async def test_symbols(echo: Path) -> None:
    async with editor() as it:
        document = it.open(echo / "firewall.appnet")
        found = await it.client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
        symbols = [symbol for symbol in found or () if isinstance(symbol, lsp.DocumentSymbol)]
        assert [(symbol.name, symbol.kind) for symbol in symbols] == [
            ("state", lsp.SymbolKind.Namespace),
            ("init(limit = 3)", lsp.SymbolKind.Constructor),
            ("req(rpc)", lsp.SymbolKind.Function),
            ("resp(rpc)", lsp.SymbolKind.Function),
        ]
        inner = symbols[0].children or ()
        assert [(symbol.name, symbol.detail) for symbol in inner] == [("seen", "Map<string, int>"), ("limit", "int")]
        lines = SOURCE.split("\n")
        assert symbols[2].range == lsp.Range(at(SOURCE, "|req(rpc)"), lsp.Position(15, len(lines[15])))


@asynchronous
async def test_references_are_those_of_the_variable_and_no_other_of_its_name(echo: Path) -> None:
    async with editor() as it:
        document = it.open(echo / "firewall.appnet")

        async def lines(mark: str, *, declared: bool = True) -> list[int]:
            context = lsp.ReferenceContext(include_declaration=declared)
            params = lsp.ReferenceParams(context, document, at(SOURCE, mark))
            found = await it.client.text_document_references_async(params)
            assert all(place.uri == document.uri for place in found or ())
            return [place.range.start.line + 1 for place in found or ()]

        assert await lines("se|en: Map") == [3, 11, 13, 15]
        assert await lines("se|en: Map", declared=False) == [11, 13, 15]
        assert await lines("match get(seen, k|ey") == [10, 11, 13, 15]
        assert await lines("pa|ss") == []


@asynchronous
async def test_rename(echo: Path) -> None:
    async with editor() as it:
        document = it.open(echo / "firewall.appnet")
        assert await it.diagnostics() == []

        async def renamed(mark: str, name: str, text: str = SOURCE) -> str:
            edit = await it.client.text_document_rename_async(lsp.RenameParams(document, at(text, mark), name))
            return applied(text, edits_of(edit, document))

        async def refused(mark: str, name: str, text: str = SOURCE) -> str:
            with pytest.raises(JsonRpcException) as caught:
                await renamed(mark, name, text)
            return str(caught.value)

        before, _, after = SOURCE.partition("resp(rpc)")
        assert await renamed("match get(seen, k|ey", "user") == before.replace("key", "user") + "resp(rpc)" + after
        assert await renamed("se|en: Map", "counts") == SOURCE.replace("seen", "counts")
        assert "would be wrong: expected string, found int" in await refused("match get(seen, k|ey", "count")
        assert "would be wrong: expected Map<string, int>, found string" in await refused(
            "match get(seen, k|ey", "seen"
        )
        assert "`limit` is a parameter" in await refused("    lim|it: int", "most")
        assert "the .proto gives it" in await refused("key = get(rpc, 'bo|dy')\n    match", "user")
        assert "this is none" in await refused("pa|ss", "user")
        for name in ("2nd", "match", "req", ""):
            assert "not a name" in await refused("se|en: Map", name)
        two = SOURCE.replace("    match get(seen, key)", "    other = key\n    match get(seen, other)")
        it.change(document, two)
        assert await it.diagnostics() == []
        assert "`other` is the name of another variable there" in await refused("other = k|ey", "other", two)
        unseen = SOURCE.replace("    send(rpc, Up)\n", "    send(rpc, Up)\n    seen = {}\n")
        it.change(document, unseen)
        assert await it.told() == ["W002"]
        assert "never reached" in await refused("se|en: Map", "counts", unseen)
        wrong = SOURCE.replace("count + limit", "count + limi")
        it.change(document, wrong)
        await it.diagnostics()
        assert "`limi` is not defined" in await refused("se|en: Map", "counts", wrong)
        prepare = lsp.PrepareRenameParams(document, at(wrong, "se|en: Map"))
        with pytest.raises(JsonRpcException, match="not defined"):
            await it.client.text_document_prepare_rename_async(prepare)


@asynchronous
async def test_signatures_of_the_function_that_is_being_called(echo: Path) -> None:
    async with editor() as it:
        document = it.open(echo / "firewall.appnet")
        for written, shown, parameter in (
            ("x = substring(key, ", "substring(text, start, end)", "start"),
            ("x = get(", "get(rpc, 'field')", "rpc"),
            ("x = get(seen, ", "get(map, key)", "key"),
            ("x = get(seen, key, ", "get(map, key, default)", "default"),
            ("set(seen, concat(key, 'a, b('), ", "set(map, key, value)", "value"),
            ("send(err('no', ", "err('text', CODE)", "CODE"),
            ("send(err('no'), ", "send(rpc, Down)", "Down"),
        ):
            text = SOURCE.replace("    send(rpc, Down)\n", f"    {written}\n")
            it.change(document, text)
            place = at(text, f"    {written}|\n")
            found = await it.client.text_document_signature_help_async(lsp.SignatureHelpParams(document, place))
            assert found is not None, written
            meant = found.signatures[found.active_signature or 0]
            parameters = [known.label for known in meant.parameters or ()]
            assert (meant.label, parameters[found.active_parameter or 0]) == (shown, parameter)
        nothing = lsp.SignatureHelpParams(document, at(text, "match get(seen, key)|:"))
        assert await it.client.text_document_signature_help_async(nothing) is None


@asynchronous
async def test_what_changes_outside_the_editor_is_looked_at_again(echo: Path) -> None:
    async with editor() as it:
        it.open(echo / "firewall.appnet")
        assert await it.diagnostics() == []
        proto = echo / "echo.proto"
        proto.write_text(proto.read_text().replace("Body", "Text").replace("body", "text"))
        event = lsp.FileEvent(proto.as_uri(), lsp.FileChangeType.Changed)
        it.client.workspace_did_change_watched_files(lsp.DidChangeWatchedFilesParams([event]))
        assert set(await it.told()) == {"E014"}
        for file in echo.iterdir():
            file.unlink()
        it.client.workspace_did_change_watched_files(lsp.DidChangeWatchedFilesParams([event]))
        assert await it.told() == []  # no application is left: any field may be there


@asynchronous
async def test_a_text_that_is_too_long_is_left_to_the_command(echo: Path) -> None:
    async with editor() as it:
        document = it.open(echo / "firewall.appnet")
        assert await it.diagnostics() == []
        it.change(document, SOURCE + "# and so on\n" * 50_000)
        (told,) = await it.diagnostics()
        assert told.severity == lsp.DiagnosticSeverity.Information
        assert "`appnetctl check`" in told.message
        hover = lsp.HoverParams(document, at(SOURCE, "se|en: Map"))
        assert await it.client.text_document_hover_async(hover) is None
        it.change(document, SOURCE)
        assert await it.diagnostics() == []
