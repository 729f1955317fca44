"""Every remedy that a diagnostic carries, applied as an editor does: what it was for is gone, and the text still reads."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from appnet.cli.behaviour import check_any
from appnet.compile.fit import load_application
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError
from appnet.diagnostics.remedy import Remedy
from appnet.diagnostics.source import FileSource, TextSource
from appnet.editor.edits import applied
from appnet.ir import compile_element
from tests.support.signatures import ECHO

TESTS = Path(__file__).parents[1]
ECHO_FOLDER = TESTS.parent / "config" / "samples" / "echo"
PROGRAMS = sorted([*(TESTS / "language" / "bad").glob("*.appnet"), *(TESTS / "language" / "broken").glob("*.appnet")])
APPLICATIONS = sorted(
    [*(TESTS / "application" / "bad").glob("*.yaml"), *(TESTS / "application" / "bad").glob("specs/*.yaml")]
)
MENDED = {
    *(
        "C010",
        "C012",
        "C014",
        "C015",
        "C020",
        "C033",
        "C040",
        "C051",
        "C052",
        "C023",
        "C024",
        "C045",
        "E001",
        "E003",
        "E005",
        "E010",
        "E012",
    ),
    *(
        "E013",
        "E014",
        "E020",
        "E021",
        "E030",
        "E031",
        "E032",
        "E040",
        "E041",
        "W001",
        "W002",
        "W005",
        "W008",
        "W009",
        "W010",
    ),
    "W020",
}
SYNTAX = {"E001", "E002", "E003", "E005", "C002"}

Check = Callable[[Path, str], list[Diagnostic]]


@dataclass(frozen=True)
class Mended:
    """A remedy that was applied to a text, with what was wrong before and after."""

    name: str
    wrong: Diagnostic
    remedy: Remedy
    before: list[Diagnostic]
    after: list[Diagnostic]


def element(path: Path, text: str) -> list[Diagnostic]:
    try:
        return list(compile_element(TextSource(path, text), ECHO).warnings)
    except DiagnosticError as error:
        return error.diagnostics


def application(path: Path, text: str) -> list[Diagnostic]:
    try:
        return list(load_application(TextSource(path, text)).warnings)
    except DiagnosticError as error:
        return error.diagnostics


def mended(path: Path, check: Check) -> list[Mended]:
    """Each remedy for what is wrong with the file, if it mends that file."""
    text = path.read_text(encoding="utf-8")
    before = check(path, text)
    return [
        Mended(path.name, wrong, remedy, before, check(path, applied(text, remedy.edits)))
        for wrong in before
        for remedy in wrong.remedies
        if all(it.span.source == TextSource(path, "") for it in remedy.edits)
    ]


def assert_mended(it: Mended) -> None:
    said = Counter((known.code, known.title) for known in it.before)
    says = Counter((known.code, known.title) for known in it.after)
    wrong = (it.wrong.code, it.wrong.title)
    assert says[wrong] < said[wrong], f"{it.name}: {it.remedy.title}: {it.wrong.title}"
    assert not {code for code, _ in says if code in SYNTAX} - {code for code, _ in said}, (
        f"{it.name}: {it.remedy.title}"
    )


def readable(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def test_every_remedy_mends_what_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(TESTS / "application" / "bad", tmp_path / "bad")
    monkeypatch.chdir(tmp_path / "bad")
    found = [it for path in PROGRAMS if readable(path) for it in mended(path, element)]
    found += [
        it
        for path in APPLICATIONS
        if readable(path)
        for it in mended(path.relative_to(TESTS / "application" / "bad"), application)
    ]
    for it in found:
        assert_mended(it)
    assert {it.wrong.code for it in found} >= MENDED


SHOP = """syntax = "proto3";
package shop;
message Order { repeated Item items = 1; string user = 2; }
message Item { string sku = 1; }
service Shop { rpc Buy(Order) returns (Order); }
"""


@pytest.mark.parametrize(
    ("file", "right", "wrong", "code"),
    [
        ("sample_echo_sidecar.behaviour.yaml", "refuses: ABORTED", "refuses: ABORTD", "C073"),
        ("sample_echo_sidecar.behaviour.yaml", "request: {body", "request: {bdy", "C074"),
        ("sample_echo_sidecar.behaviour.yaml", "logging.record_req: [hello]", "logging.record_rq: [hello]", "C075"),
        ("local.yaml", "  server:", "  servre:", "C040"),
        ("local.yaml", "method: echo", "method: ecko", "C050"),
        ("shop.appnet", "size(rpc, 'items') > 0", "has(rpc, 'items')", "E045"),
        ("shop.appnet", "clear(rpc, 'items')", "clear(rpc, 'items.sku')", "E045"),
    ],
)
def test_remedies_of_files_beside_others(tmp_path: Path, file: str, right: str, wrong: str, code: str) -> None:
    echo = Path(shutil.copytree(ECHO_FOLDER, tmp_path / "echo"))
    (echo / "shop.proto").write_text(SHOP)
    program = "state:\n    pass\n\ninit():\n    pass\n\nreq(rpc):\n    if size(rpc, 'items') > 0:\n"
    program += "        clear(rpc, 'items')\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"
    (echo / "shop.appnet").write_text(program)
    config = (echo / "sample_echo_sidecar.yaml").read_text().replace("method: echo ", "method: Buy ")
    config = config[: config.index("  clientChain")] + "  proto: shop.proto\n  clientChain:\n    - name: shop\n"
    (echo / "shop.yaml").write_text(config + "      file: shop.appnet\n")
    path = echo / file
    assert right in path.read_text(), "the sample changed"
    path.write_text(path.read_text().replace(right, wrong, 1))
    asked = echo / "sample_echo_sidecar.yaml" if file == "local.yaml" else path
    (found,) = (it for it in check_any(FileSource(asked)) if it.code == code)
    remedy, *_ = found.remedies
    path.write_text(applied(path.read_text(), remedy.edits))
    assert check_any(FileSource(asked)) == []
