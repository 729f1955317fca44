"""The older syntax of public programs: blocks in braces, statements that end in `;`, `x := e`, `map.get(key)`.

It is read into the tokens of the indentation syntax, so that one grammar reads both and the formatter can write the one
for the other:

    state { seen: Map<string, int> }                state:
                                                        seen: Map<string, int>
    fn req(rpc) {                                   req(rpc):
        match (seen.get(rpc.get('user'))) {             match get(seen, get(rpc, 'user')):
            Some(n) => { send(rpc, NET); }                  Some(n) =>
        };                                                      send(rpc, Down)
    }
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from lark import Token

from appnet.diagnostics.place import Source
from appnet.language.lexer import BEFORE_MAPS, COMMENT, KEYWORDS, PUNCTUATION, SECTIONS, TOKEN, Lexer

_HANDLERS = ", ".join(name for name in SECTIONS if name not in {"state", "init"})

_BLANK = r"(?:\s|#[^\n]*\n|//[^\n]*\n)*"
_BEGINNING = re.compile(rf"\ufeff?{_BLANK}(?:(?:state|internal)\b{_BLANK}\{{|fn\b)")
_OWN = re.compile(r"(?P<assign>:=)|(?P<and>&&)|(?P<or>\|\|)|(?P<sign>[{};]|\.(?=\s*[^\W\d]))")
_WRITTEN_NOW = {"assign": ("_ASSIGN", "="), "and": ("AND", "and"), "or": ("OR", "or")}
_DIRECTIONS = {"APP": "Up", "NET": "Down"}
_HEADS = frozenset({"MATCH", "IF", "ELIF"})


def has_braces(source: str) -> bool:
    """Whether the program is written in the older syntax."""
    return _BEGINNING.match(source) is not None


def lexer_for(file: Source, source: str) -> Lexer:
    """The lexer of the syntax that ``source`` is written in."""
    return _BraceLexer(file, source) if has_braces(source) else Lexer(file, source)


class _BraceLexer(Lexer):
    """Tokens of a program in the older syntax, as if it were written in the other; with the places that they have."""

    def tokens(self) -> Iterator[Token]:
        found = list(self._words())
        return iter(_Layout(found, self._complain).program())

    def _words(self) -> Iterator[Token]:
        """Names, signs and comments, in the order of the text."""
        position = literals = 0  # of Maps, that are open
        while position < len(self._source):
            own = None if self._is_of_a_literal(position, literals) else _OWN.match(self._source, position)
            found = own or TOKEN.match(self._source, position)
            if found is None:
                position = self._unknown(position)
                continue
            kind, text, start, position = found.lastgroup or "", found.group(), found.start(), found.end()
            if own:
                yield self._token(*_WRITTEN_NOW.get(kind, (text, text)), start, position)
            elif text.endswith("\n"):
                self._line += 1
                self._line_start = position
            else:
                literals += (text == "{") - (text == "}")
                yield from self._tokens_of(found)

    def _is_of_a_literal(self, position: int, literals: int) -> bool:
        """Whether a brace stands there that belongs to a Map's literal, of which so many are open."""
        sign = self._source[position]
        before = self._recent[-1] if self._recent else ""
        begins = before in BEFORE_MAPS and (before != "_COLON" or literals > 0)
        return (sign == "{" and begins) or (sign == "}" and literals > 0)

    def _name_type(self, text: str, start: int) -> str:  # noqa: ARG002  # `fn` tells which is a section's
        return KEYWORDS.get(text, "NAME")

    def _punctuation(self, text: str, start: int, end: int) -> Iterator[Token]:
        yield self._token(PUNCTUATION[text], text, start, end)

    def _complain(self, token: Token, title: str, help_: str) -> None:
        start = self._source.rfind("\n", 0, token.start_pos) + 1
        self._line, self._line_start = token.line or 1, start
        self._error("E003", title, token.start_pos or 0, token.end_pos or 0, help_)
        self.gave_up = True


class _Layout:
    """Puts line ends and indentation where braces and semicolons stand."""

    def __init__(self, words: list[Token], complain: Callable[[Token, str, str], None]) -> None:
        self._words = words
        self._complain = complain
        self._at = 0
        self._out: list[Token] = []
        self._lost = False  # whether what follows cannot be told apart any more

    def program(self) -> list[Token]:
        while (word := self._next()) is not None:
            if word.type == COMMENT:
                self._take()
            elif word == "internal" or (word == "state" and self._type(1) == "{"):
                self._section("STATE", "state", self._declaration)
            elif word == "fn" and self._type(1) == "NAME" and self._words[self._at + 1] in SECTIONS:
                self._at += 1
            elif word in SECTIONS and self._type(1) in {"_LPAR", "{"}:
                self._section(SECTIONS[str(word)], str(word), self._statement)
            elif word == ";":
                self._at += 1
            else:
                help_ = f"blocks are `state {{ … }}`, `fn init(…) {{ … }}` and `fn HANDLER(rpc) {{ … }}`: {_HANDLERS}"
                self._complain(word, f"`{word}` outside all blocks", help_)
                break
        return self._out

    def _section(self, type_: str, name: str, line: Callable[[], None]) -> None:
        self._put(type_, name)
        self._at += 1
        while self._type() not in {"", "{", "}"}:
            self._take()
        self._block(line)

    # --- blocks ---

    def _block(self, line: Callable[[], None]) -> None:
        opening = self._next()
        if opening is None or opening.type != "{":
            place = opening or self._words[-1]
            self._give_up(place, "a `{` is missing", "put its content in braces: `{ … }`")
            return
        if self._out[-1].type != "_ARROW":
            self._put("_COLON", ":")
        self._at += 1
        self._end_line(opening)
        self._put("_INDENT", place=opening)
        before = len(self._out)
        while self._type() not in {"", "}"}:
            if self._type() == COMMENT:
                self._take()
            elif self._type() in {";", "_COMMA"}:
                self._at += 1
            else:
                line()
        closing = self._next()
        if closing is None:
            if not self._lost:
                self._complain(opening, "a `{` without its `}`", "close the block")
            self._lost = True
            return
        if all(it.type == COMMENT for it in self._out[before:]):
            self._put("PASS", "pass")
            self._put("_NEWLINE")
        self._put("_DEDENT")
        self._at += 1

    def _end_line(self, last: Token) -> None:
        """Ends the line, after a comment that stands behind its last word."""
        following = self._next()
        if following is not None and following.type == COMMENT and following.line == last.line:
            self._take()
        self._put("_NEWLINE", place=last)

    # --- lines ---

    def _declaration(self) -> None:
        """Decorators, a name and its type, which nothing but itself ends."""
        while self._type() == "_AT" or (self._type() == COMMENT and self._out[-1].type == "_RPAR"):
            self._take()
            while self._out[-1].type not in {"_RPAR", COMMENT} and self._type() not in {"", "{", "}"}:
                self._take()
        while self._type() not in {"", "{", "}", ";", "_COLON"}:
            self._take()
        if self._type() == "_COLON":
            self._take()
        depth = 0
        while self._type() not in {"", "{", "}", ";"}:
            depth += {"LT": 1, "GT": -1}.get(self._type(), 0)
            self._take()
            if depth == 0 and self._type() != "LT":
                break
        self._end_line(self._words[self._at - 1])
        if self._type() == "{":
            self._give_up(self._words[self._at], "unexpected `{`", "`state` contains declarations: `name: type`")

    def _statement(self) -> None:
        """Up to a `;`, a block, or the end of the block that it stands in."""
        while self._type() not in {"", ";", "}", "{"}:
            self._word()
        if self._type() == "{":
            self._block(self._statement)
            if self._type() == "_RPAR":  # of a foreach
                self._statement()
            return
        if self._type() == ";":
            self._at += 1
        self._end_line(self._words[self._at - 1])

    def _word(self) -> None:
        token = self._words[self._at]
        if token.type == "NAME" and self._type(1) == "." and self._type(3) == "_LPAR":
            self._method_call()
        elif token in _DIRECTIONS and self._out[-1].type == "_COMMA" and self._type(1) == "_RPAR":
            self._put("NAME", _DIRECTIONS[token], token)
            self._at += 1
        elif token.type in _HEADS and (end := self._parentheses_of(self._at + 1)):
            self._take()
            self._at += 1
            while self._at < end:
                self._word()
            self._at += 1
        else:
            self._take()

    def _method_call(self) -> None:
        """``place.function(…)`` as ``function(place, …)``."""
        place, _, function, parenthesis = self._words[self._at : self._at + 4]
        self._out += [function, parenthesis, place]
        self._at += 4
        if self._type() != "_RPAR":
            self._put("_COMMA", ",", parenthesis)

    def _parentheses_of(self, start: int) -> int:
        """Where the parenthesis at ``start`` is closed, if it holds all that stands before a `{`; else 0."""
        depth = 0
        for index in range(start, len(self._words)):
            type_ = self._words[index].type
            depth += {"_LPAR": 1, "_RPAR": -1}.get(type_, 0)
            if depth == 0 or (depth == 1 and type_ == "_COMMA") or type_ in {"{", "}", ";"}:
                closed = depth == 0 and type_ == "_RPAR"
                return index if closed and self._words[index + 1 : index + 2] == ["{"] else 0
        return 0

    # --- words ---

    def _give_up(self, place: Token, title: str, help_: str) -> None:
        self._complain(place, title, help_)
        self._lost = True
        self._at = len(self._words)

    def _next(self) -> Token | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def _type(self, ahead: int = 0) -> str:
        """The type of a word to come; empty after the last."""
        index = self._at + ahead
        return self._words[index].type if index < len(self._words) else ""

    def _take(self) -> None:
        self._out.append(self._words[self._at])
        self._at += 1

    def _put(self, type_: str, text: str = "", place: Token | None = None) -> None:
        place = place or self._words[min(self._at, len(self._words) - 1)]
        self._out.append(Token.new_borrow_pos(type_, text, place))
