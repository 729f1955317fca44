"""Text to tokens and to the tree: indentation, comments, strings, and what editors put into files."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import TextSource
from appnet.language import parse, syntax
from appnet.language.lexer import COMMENT, Lexer


def token_types(source: str) -> list[str]:
    lexer = Lexer(Path("x.appnet"), source)
    types = [it.type for it in lexer.tokens() if it.type != COMMENT]  # as the parser takes them
    assert not lexer.errors
    return types


def read(source: str) -> syntax.Program:
    return parse(TextSource(Path("x.appnet"), source))


def with_req(body: str) -> str:
    return f"state:\n\tpass\ninit():\n  pass\nreq(rpc):\n{body}\nresp(rpc):\n        send(rpc, Up)\n"


def text_of(literal: str) -> bytes:
    (statement,) = read(with_req(f"    x = {literal}")).req.body
    assert isinstance(statement, syntax.Assign)
    assert isinstance(statement.value, syntax.Text)
    return statement.value.value


def test_a_tab_stands_for_the_columns_up_to_the_next_multiple_of_four():
    body = "\tmatch 1:\n    \t1 =>\n            pass\n        2 =>\n\t\t\tpass\n    send(rpc, Down)"
    mixed = body.replace("    \t1", "\t    1")
    match, send = read(with_req(mixed)).req.body
    assert isinstance(match, syntax.MatchOn)
    assert len(match.arms) == 2
    assert isinstance(send, syntax.Send)
    with pytest.raises(DiagnosticError) as caught:
        read(with_req(body))  # what a tab after spaces stands for, editors disagree on
    assert [(it.code, it.span.line) for it in caught.value.diagnostics] == [("E002", 7)]


def test_comments_and_empty_lines_have_no_indentation():
    assert token_types("a = 1 # b\n      # c\n\n  // d\n\t\nb = 2 // e") == token_types("a = 1\nb = 2")


def test_a_comment_sign_in_a_string_is_text():
    assert text_of("'a # b // c'") == b"a # b // c"


def test_line_ends_in_parentheses_do_not_count():
    assert token_types("f(1,\n      2,\n# c\n  3)\n") == token_types("f(1, 2, 3)")


def test_the_body_of_a_lambda_is_a_block_inside_parentheses():
    apart = "foreach(v, lambda(x):\n    a = (1 +\n2)\n    b = 2\n)\nc = 3\n"
    at_once = "foreach(v, lambda(x):\n  a = (1 + 2)\n  b = 2)\nc = 3\n"
    far_off = "foreach(v, lambda(x):\n  a = (1 + 2)\n  b = 2\n        )\nc = 3\n"
    assert token_types(apart) == token_types(at_once) == token_types(far_off)
    assert token_types("foreach(v, lambda(x): a = 1)\n").count("_INDENT") == 0


@pytest.mark.parametrize(
    ("literal", "seen"),
    [
        ("'it\"s'", b'it"s'),
        ('"it\'s"', b"it's"),
        (r"'a\tb\n\\\'\"\0'", b"a\tb\n\\'\"\0"),
        (r"'\xff\x00\xc3'", b"\xff\x00\xc3"),
        ("'é€😀'", "é€😀".encode()),
        ("''", b""),
    ],
)
def test_strings(literal: str, seen: bytes):
    assert text_of(literal) == seen


def test_what_editors_put_into_files_is_no_matter():
    plain = with_req("    x = 'a'\n    send(rpc, Down)")
    for text in ("\ufeff" + plain, plain.replace("\n", "\r\n"), plain.rstrip("\n"), plain + "\n\n   \n"):
        assert [type(it) for it in read(text).req.body] == [syntax.Assign, syntax.Send]


def test_places_are_those_of_the_text():
    statement = read(with_req("\tx = get(rpc,\n\t\t'é' ) + nope")).req.body[0]
    assert isinstance(statement, syntax.Assign)
    assert isinstance(statement.value, syntax.Binary)
    span = statement.value.right.span
    assert (span.line, span.column, span.end_line, span.end_column) == (7, 11, 7, 15)


@pytest.mark.parametrize("separator", ["\x0c", "\x0b", "\x85", "\u2028"])
def test_only_a_line_feed_ends_a_line(separator: str):
    with pytest.raises(DiagnosticError) as caught:
        read(with_req(f"    x = 'a' # {separator}\n    y = &"))
    (diagnostic,) = caught.value.diagnostics
    assert "7 |     y = &\n" in diagnostic.render()
