"""Whatever text is given, the answer is a program or diagnostics, and it comes in time."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.language import parse
from appnet.language.formatter import format_program
from tests.support.programs import program
from tests.support.signatures import ECHO

PIECES = (
    *("state:\n", "init():\n", "req(rpc):\n", "resp(rpc):\n", "    ", "\t", "\n", " "),
    *("match x:\n", "true =>\n", "Some(x) =>\n", "None =>\n", "foreach(v, lambda(x):\n", ")", "(", "[", "]", ",", ":"),
    *("send(rpc, Down)\n", "send(err('no'), Up)\n", "get(rpc, 'body')", "x = ", "1", "1.5", "'a'", "+", "not ", "-"),
    *("m: Map<string, int>\n", "@capacity(3)\n", "pass\n", "if x:\n", "else:\n", "# c\n", "é", "\x00", "{", "'", "\\"),
)
BRACES = (
    *("state {", "internal{", "fn init() {", "fn req(rpc) {", "fn resp(rpc) {", "fn ", "{", "}", "};", ";", "\n", ","),
    *("match (x) {", "true => {", "Some(x) =>", "x := ", "m.get(", "rpc", ".", "&&", "//c\n", "(", ")", "<", ">", ": "),
    *("send(rpc, NET)", "foreach(v, lambda(x) {", "m: Map<string, int>", "@capacity(3)", "a", "1", "'s'", "if (x) {"),
)
WHOLE = sorted([*Path("tests/differential/programs").glob("*.appnet"), *Path("config/samples/echo").glob("*.appnet")])


def compiles_or_says_why(source: str) -> None:
    with contextlib.suppress(DiagnosticError):
        compile_element(TextSource(Path("soup.appnet"), source), ECHO)


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
@settings(max_examples=400)
def test_token_soup(source: str) -> None:
    compiles_or_says_why(source)


@given(st.lists(st.sampled_from(BRACES), max_size=60).map(lambda pieces: "state {" + " ".join(pieces)))
@settings(max_examples=400)
def test_token_soup_in_the_older_syntax(source: str) -> None:
    compiles_or_says_why(source)
    with contextlib.suppress(DiagnosticError):
        format_program(TextSource(Path("soup.appnet"), source), upgrade=True)


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_any_text(source: str) -> None:
    compiles_or_says_why(source)


def test_programs_cut_at_any_place() -> None:
    assert WHOLE
    for path in WHOLE:
        source = path.read_text(encoding="utf-8")
        for cut in range(0, len(source), 3):
            compiles_or_says_why(source[:cut])


def test_a_program_of_ten_thousand_statements() -> None:
    body = "".join(f"x{i} = {i} + 1\n" for i in range(10_000))
    assert len(parse(TextSource(Path("long.appnet"), program(body))).req.body) == 10_001
