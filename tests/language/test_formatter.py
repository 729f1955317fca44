"""Formatting keeps meaning and comments, and formatting twice changes nothing more."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import TextSource
from appnet.language import parse
from appnet.language.formatter import format_program
from tests.support.elements import programs
from tests.support.trees import without_places

ROOT = Path(__file__).parents[2]
IT = Path("it.appnet")
SAMPLES = sorted([*ROOT.glob("config/samples/**/*.appnet"), *ROOT.glob("tests/differential/programs/*.appnet")])


def checked(source: str) -> str:
    """``source`` formatted, after seeing that it means the same and is final."""
    formatted = format_program(TextSource(IT, source))
    assert without_places(parse(TextSource(IT, formatted))) == without_places(parse(TextSource(IT, source)))
    assert format_program(TextSource(IT, formatted)) == formatted
    return formatted


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_keep_their_meaning(path: Path) -> None:
    checked(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(ROOT.glob("config/samples/**/*.appnet")), ids=lambda path: path.stem)
def test_samples_are_in_the_canonical_layout(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert format_program(TextSource(path, source)) == source


@settings(max_examples=100)
@given(programs())
def test_generated_programs_keep_their_meaning(source: str) -> None:
    checked(source)


@settings(max_examples=100)
@given(programs(), st.randoms(use_true_random=False))
def test_comments_and_line_ends_anywhere_keep_meaning_and_all_comments(source: str, chance: random.Random) -> None:
    lines = []
    for number, line in enumerate(source.splitlines()):
        if chance.random() < 0.2:
            lines.append(" " * chance.randint(0, 9) + f"# own {number}")
        if chance.random() < 0.1:
            lines += [""] * chance.randint(1, 3)
        broken = chance.random() < 0.2 and "(" in line and not set("'<") & set(line)
        text = line.replace(", ", f",  # within {number}\n  ") if broken else line
        lines.append(text + (f"   // after {number}" if chance.random() < 0.2 else ""))
    commented = "\n".join(lines)
    formatted = checked(commented)
    comment = re.compile(r"(?:#|//) (?:own|after|within) \d+")
    assert sorted(comment.findall(formatted)) == sorted(comment.findall(commented))
    assert "\n\n\n" not in formatted


MESSY = """# what it is for


state:
  @consistency(weak) @combiner(sum) seen:Map<string,<int,float>>   // by user

  limit :int
init( limit=3 ): pass
# the way there
req (rpc):
\tif limit<- 1 :
\t\tsend( rpc,Down )
\telif not(limit==2): send(rpc,Down)
\telse:

\t\t# nothing yet

\t\tforeach( [], lambda( x ): set(seen, x,
\t\t     (1,2.0)) )  # odd
\t\tmatch (limit)  :
\t\t\t-1=>pass
        # deeper than the arm
\t\t\tSome( _ ) =>
\t\t\t\tx=-limit -(  -2)*min( 1 , # first
\t\t\t\t  2 )
\t\t\t# at the end
resp(rpc):
    send(rpc,Up)
  # the end
"""

NEAT = """# what it is for

state:
    @consistency(weak) @combiner(sum)
    seen: Map<string, <int, float>>  // by user

    limit: int

init(limit = 3):
    pass

# the way there
req(rpc):
    if limit < -1:
        send(rpc, Down)
    elif not (limit == 2):
        send(rpc, Down)
    else:
        # nothing yet

        foreach([], lambda(x):
            set(seen, x, (1, 2.0))
        )  # odd
        match (limit):
            -1 => pass
            # deeper than the arm
            Some(_) =>
                # first
                x = -limit - (-2) * min(1, 2)
            # at the end

resp(rpc):
    send(rpc, Up)

# the end
"""


def test_the_layout() -> None:
    assert checked(MESSY) == NEAT


def test_long_lines_keep_their_line_ends_within_parentheses() -> None:
    words = "concat(\n        'a long piece of text that goes on',\n        concat('and on, with a second piece, and', 'a third one'))"
    source = f"state:\n    pass\ninit():\n    pass\nreq(rpc):\n    x = {words}\n    send(rpc, Down)\nresp(rpc):\n    send(rpc, Up)\n"
    formatted = checked(source)
    assert "x = concat(\n        'a long" in formatted
    assert "on',\n        concat(" in formatted


def test_a_byte_order_mark_and_a_missing_line_end() -> None:
    assert checked("\ufeff" + NEAT.rstrip("\n")) == NEAT


def test_what_is_no_program_is_not_formatted() -> None:
    with pytest.raises(DiagnosticError):
        format_program(TextSource(IT, "state:\n"))
