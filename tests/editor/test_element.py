"""What an editor is told about an element: hover, definition and completion, of right and of unfinished text."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appnet.diagnostics.source import TextSource, base_name
from appnet.editor.built_ins import FUNCTIONS, documentation, usage
from appnet.editor.document import Completion, ElementText
from appnet.language.statuses import STATUS_CODES

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"

SOURCE = """state:
    @capacity(10)
    seen: Map<string, <int, float>>
    limit: float

init(limit = 3.0):
    pass

req(rpc):
    user = get(rpc, 'body')
    match get(seen, user):
        Some(pair) =>
            (count, share) = pair
            if randomf(0, 1) < limit:
                set(seen, user, (count + 1, share))
        None => pass
    send(rpc, Down)

resp(rpc):
    send(err('no', NOT_FOUND), Up)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An element that the echo sample's configuration uses; what the file holds does not count."""
    return Path(shutil.copytree(ECHO, tmp_path / "echo")) / "fault.appnet"


def place(source: str, mark: str) -> tuple[int, int]:
    """Line and column of the ``|`` in ``mark``, whose text without it stands once in ``source``."""
    text = mark.replace("|", "")
    assert source.count(text) == 1
    before = source[: source.index(text) + mark.index("|")]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ("se|en: Map", "state `seen`: `Map<string, <int, float>>`  \ncapacity 10"),
        ("< li|mit:", "state `limit`: `float`"),
        ("us|er = ", "local `user`: `string`"),
        ("get(seen, |user)", "local `user`: `string`"),
        ("(co|unt, share) =", "local `count`: `int`"),
        ("share|))", "local `share`: `float`"),
        ("'bo|dy'", "field `Body`: `string`  \nstring in the .proto"),
        ("NOT_|FOUND", "`NOT_FOUND`: gRPC status 5"),
        ("randomf|(", "`randomf(low, high)`"),
        ("se|nd(rpc", "`send(rpc, Down)`  \nEnds the handler"),
        ("pa|ss\n    send", ""),
    ],
)
def test_hover(path: Path, mark: str, told: str) -> None:
    text = ElementText(TextSource(path, SOURCE)).hover(*place(SOURCE, mark))
    assert text.startswith(told) if told else text == ""


@pytest.mark.parametrize(
    ("mark", "defined"),
    [
        ("< li|mit:", "|limit: float"),
        ("set(se|en", "|seen: Map"),
        ("(seen, us|er,", "|user = "),
        ("= pa|ir\n", "Some(|pair)"),
        ("rando|mf", None),
    ],
)
def test_definition(path: Path, mark: str, defined: str | None) -> None:
    span = ElementText(TextSource(path, SOURCE)).definition(*place(SOURCE, mark))
    assert (span and (span.line, span.column)) == (defined and place(SOURCE, defined))


def test_the_definition_of_a_field_is_in_the_proto(path: Path) -> None:
    proto = path.parent / "echo.proto"
    text = proto.read_text().replace("message Msg {", "message Msg {\n  message In { int64 zip = 1; }\n\tIn inner = 9;")
    proto.write_text(text)
    for name, mark in (("Body", "|Body"), ("inner.zip", "|zip"), ("inner", None)):
        source = SOURCE.replace("'body'", f"'{name}'")
        span = ElementText(TextSource(path, source)).definition(*place(source, f"'|{name}'"))
        word = (mark or "").replace("|", "")
        number = next((n for n, line in enumerate(text.split("\n"), 1) if mark and f" {word} = " in line), 0)
        assert (span and (base_name(span.source), span.line)) == (("echo.proto", number) if mark else None)
        if span:
            assert text.split("\n")[span.line - 1][span.column - 1 : span.end_column - 1] == word


def completed(path: Path, line: str, block: str = "req") -> list[Completion]:
    """What is offered at the end of ``line`` as the last of a block, in a text that is no program."""
    source = f"{SOURCE[: SOURCE.index('send(rpc, Down)')]}{line}\n"
    if block == "resp":
        source = f"{SOURCE}    {line}\n"
    elif block == "state":
        source = f"state:\n    {line}\n"
    lines = source.split("\n")
    return ElementText(TextSource(path, source)).completions(len(lines) - 1, len(lines[-2]) + 1)


def texts(found: list[Completion]) -> set[str]:
    return {it.text for it in found}


def test_fields_come_from_the_proto_of_the_configuration_that_uses_the_element(path: Path) -> None:
    for line in ("x = get(rpc, '", "set(rpc, 'bo", "x = rpc.get('"):
        assert [(it.text, it.detail) for it in completed(path, line)] == [("Body", "string (string)")]
    assert texts(completed(path, "x = get(rpc, '", "resp")) == {"Body"}


def test_nested_fields_are_offered_from_the_last_dot_on(path: Path) -> None:
    proto = path.parent / "echo.proto"
    message = "message In { string city = 1; int64 zip = 2; }"
    proto.write_text(proto.read_text().replace("message Msg {", f"{message}\nmessage Msg {{\n  In inner = 9;"))
    assert "inner.city" in texts(completed(path, "x = get(rpc, '"))
    assert texts(completed(path, "x = get(rpc, 'inner.")) == {"city", "zip"}


def test_without_a_configuration_no_fields_are_known(tmp_path: Path) -> None:
    assert completed(tmp_path / "alone.appnet", "x = get(rpc, '") == []


def test_codes_and_directions(path: Path) -> None:
    assert texts(completed(path, "send(err('no', ")) == set(STATUS_CODES) - {"OK"}
    assert texts(completed(path, "send(err('no', NOT_FOUND), ")) == {"Down", "Up"}
    assert texts(completed(path, "send(rpc, D")) == {"Down", "Up"}


def test_names_and_built_ins(path: Path) -> None:
    found = {it.text: it for it in completed(path, "x = ")}
    assert {"seen", "limit", "user", "pair", "count", "share", "match", "randomf"} <= found.keys()
    assert found["seen"].detail == "Map<string, <int, float>>"
    assert found["randomf"].detail == "randomf(low, high)"
    assert "user" not in texts(completed(path, "x = ", "resp"))


def test_state_offers_types_and_decorators(path: Path) -> None:
    assert {"Map", "Vec", "string", "Instant"} <= texts(completed(path, "x: ", "state"))
    assert texts(completed(path, "@", "state")) == {"consistency", "combiner", "persistence", "unavailable", "capacity"}


def test_nothing_is_offered_within_text(path: Path) -> None:
    assert completed(path, "x = concat('se") == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_is_documented(function: str) -> None:
    assert documentation(function)
    assert usage(function).startswith(function) or f"`{function}` is" in documentation(function)


def test_text_that_is_no_program_has_no_types_but_built_ins(path: Path) -> None:
    source = "state:\n    pass\nreq(rpc):\n    x = concat("
    assert ElementText(TextSource(path, source)).hover(4, 6) == ""
    assert "concat(a, b)" in ElementText(TextSource(path, source)).hover(4, 11)


def test_a_line_that_cannot_be_read_does_not_hide_what_the_others_say(path: Path) -> None:
    source = SOURCE.replace("send(rpc, Down)", "send(rpc Down)")
    assert ElementText(TextSource(path, source)).hover(*place(source, "us|er = ")) == "local `user`: `string`"
