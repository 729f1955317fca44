"""The older syntax is read into the same tree, and rewritten into the syntax of today with its comments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from lark import Token

from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import TextSource
from appnet.language import parse
from appnet.language.braces import has_braces
from appnet.language.formatter import format_program
from appnet.language.lexer import Lexer
from tests.support.elements import programs
from tests.support.trees import without_places

IT = Path("it.appnet")

OLDER = """// who may pass
internal
{
    @consistency(weak) @combiner(LWW)
    allowed: Map<string, <int, float>>  // by user
    first: Instant seen: Vec<string>
}

fn init(limit, share) {
    // nothing to do
}

fn req(rpc_req) {
    user := rpc_req.get('user');   // a name
    match (allowed.get(user)) {
        Some(pair) => {
            (count, part) := pair;
            match(count > 3 && part<0.5||user == 'root') {
                true => { send(rpc_req, NET); }
                false => send(err('often'), APP);
            };
        }
        None => {
            // unknown
        },
        // no more
    };
    seen.set(seen.size(), user);
    send(rpc_req, Down)
}

/* fn */
fn resp(rpc_resp) { send(rpc_resp, APP); }
""".replace("/* fn */\n", "# the way back\n")

TODAY = """// who may pass
state:
    @consistency(weak) @combiner(LWW)
    allowed: Map<string, <int, float>>  // by user
    first: Instant
    seen: Vec<string>

init(limit, share):
    // nothing to do
    pass

req(rpc_req):
    user = get(rpc_req, 'user')  // a name
    match get(allowed, user):
        Some(pair) =>
            (count, part) = pair
            match count > 3 and part < 0.5 or user == 'root':
                true =>
                    send(rpc_req, Down)
                false => send(err('often'), Up)
        None =>
            // unknown
            pass
        // no more
    set(seen, size(seen), user)
    send(rpc_req, Down)

# the way back
resp(rpc_resp):
    send(rpc_resp, Up)
"""


def test_both_syntaxes_say_the_same() -> None:
    assert has_braces(OLDER)
    assert not has_braces(TODAY)
    assert without_places(parse(TextSource(IT, OLDER))) == without_places(parse(TextSource(IT, TODAY)))


def test_upgrading_keeps_comments() -> None:
    assert format_program(TextSource(IT, OLDER), upgrade=True) == TODAY


def test_formatting_alone_leaves_the_older_syntax_and_says_how_to_leave_it() -> None:
    with pytest.raises(DiagnosticError) as caught:
        format_program(TextSource(IT, OLDER))
    (told,) = caught.value.diagnostics
    assert (told.code, told.span.line, told.help) == ("E006", 2, "`appnetctl fmt --upgrade` rewrites it")


def test_places_are_those_of_the_older_text() -> None:
    statement = parse(TextSource(IT, OLDER)).req.body[0]
    assert (statement.span.line, statement.span.column) == (14, 5)


def with_braces(source: str) -> Iterator[str]:
    """A program in the indentation syntax written in the older one, all on one line but for the state."""
    tokens = list(Lexer(IT, source).tokens())
    in_state = True
    for index, token in enumerate(tokens):
        following = [it.type for it in tokens[index + 1 : index + 4]]
        in_state = in_state and token.type != "INIT"
        if token.type == "_COLON" and following[:2] == ["_NEWLINE", "_INDENT"]:
            continue
        if token.type == "_NEWLINE":
            yield "\n" if in_state else "" if following[0] == "_INDENT" else ";"
        elif token.type == "NAME" and token in _FUNCTIONS and following in _METHOD_CALLS:
            yield f"{tokens[index + 2]}.{token}"
        elif token.type == "STRING":
            yield source[token.start_pos : token.end_pos]
        elif not (_is_receiver(tokens, index) or (token.type == "_COMMA" and _is_receiver(tokens, index - 1))):
            yield _IN_BRACES.get(token.type, str(token))


_IN_BRACES = {"_INDENT": "{", "_DEDENT": "}", "_ASSIGN": ":=", "AND": "&&", "OR": "||"} | {
    name: f"fn {name.lower()}" for name in ("INIT", "REQ", "RESP")
}
_FUNCTIONS = frozenset({"get", "set", "delete", "size"})
_METHOD_CALLS = (["_LPAR", "NAME", "_COMMA"], ["_LPAR", "NAME", "_RPAR"])


def _is_receiver(tokens: list[Token], index: int) -> bool:
    before = tokens[index - 2] if index >= 2 else None
    follows = [it.type for it in tokens[index - 1 : index + 2]]
    return before is not None and before in _FUNCTIONS and follows in _METHOD_CALLS


@settings(max_examples=100)
@given(programs())
def test_generated_programs_in_braces_mean_the_same_and_come_back_the_same(source: str) -> None:
    older = " ".join(with_braces(source))
    assert has_braces(older)
    assert without_places(parse(TextSource(IT, older))) == without_places(parse(TextSource(IT, source)))
    upgraded = format_program(TextSource(IT, older), upgrade=True)
    assert without_places(parse(TextSource(IT, upgraded))) == without_places(parse(TextSource(IT, source)))
    assert format_program(TextSource(IT, upgraded)) == upgraded
