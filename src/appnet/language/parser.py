"""Tokens to the syntax tree."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from lark import Lark, Token, Tree, UnexpectedToken
from lark.lexer import Lexer as LarkLexer

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity, UnreadableError
from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.remedy import Remedy, instead
from appnet.diagnostics.source import NOT_TEXT, base_name
from appnet.language import syntax
from appnet.language.blocks import new_block
from appnet.language.braces import has_braces, lexer_for
from appnet.language.habits import advice, place_of, remedies_of
from appnet.language.lexer import COMMENT, KEYWORDS, LAYOUT, OPTIONAL_SECTIONS, PUNCTUATION, SECTIONS, Lexer
from appnet.language.recovery import LOST, Repaired, kind_of_fault, line_at_fault, repaired, unread

_OF_OTHERS = (".yaml", ".yml", ".proto")
_MAX_NESTING = 100  # what every stage can take, whatever calls it
_MAX_ITEMS = 4_096  # of a literal: for twice as many, the C compiler takes four times as long
_MAX_DIGITS = 40  # of a whole number
_MAX_ERRORS = 50
_MAX_REPAIRS = 250
_WORD = re.compile(r"[^\W\d]\w*")
_FRIENDLY = {
    "_NEWLINE": "the end of the line",
    "_INDENT": "an indented block",
    "_DEDENT": "the end of the block",
    "$END": "the end of the file",
    "NAME": "a name",
    "INT": "a number",
    "FLOAT": "a number",
    "STRING": "a string",
    **{token: f"`{text}`" for text, token in (KEYWORDS | SECTIONS | PUNCTUATION).items()},
}
_VALUES = {
    _FRIENDLY[it] for it in ("NAME", "INT", "STRING", "TRUE", "FALSE", "NOT", "MINUS", "_LPAR", "_LSQB", "_LBRACE")
}
_OPERATORS = {
    _FRIENDLY[it]
    for it in ("EQ", "NE", "LT", "LE", "GT", "GE", "PLUS", "MINUS", "STAR", "SLASH", "PERCENT", "AND", "OR")
}
_FRIENDLY_IN_BRACES = _FRIENDLY | {
    "_NEWLINE": "`;`",
    "_INDENT": "`{`",
    "_DEDENT": "`}`",
    "_COLON": "`{`",
    "_ASSIGN": "`:=`",
}


def parse(file: Source) -> syntax.Program:
    """The program in ``file``. Raises `DiagnosticError` for text that is no program, and for what is no text."""
    program = read(file)
    if program.errors:
        raise DiagnosticError(list(program.errors))
    return program


def read(file: Source) -> syntax.Program:
    """As `parse`, but lines that cannot be read are among the program's ``errors``; raises `DiagnosticError` where too
    little is left without them.
    """
    source = read_program(file).removeprefix("\ufeff")  # some editors begin a file with it
    lexer = lexer_for(file, source)
    tokens = [it for it in lexer.tokens() if it.type != COMMENT]
    if lexer.gave_up or (lexer.errors and has_braces(source)):
        raise DiagnosticError(lexer.errors[:_MAX_ERRORS])
    parsing = _Parsing(file, source, lexer)
    tree = parsing.tree(tokens)
    reader = _TreeReader(file, source, parsing)
    errors = [*_not_following(lexer.errors, parsing.out_of_line, tokens), *parsing.errors]
    program = reader.program(tree, broken=bool(errors)) if tree is not None else None
    errors = sorted([*errors, *reader.errors], key=lambda it: (it.span.line, it.span.column))[:_MAX_ERRORS]
    if program is None:
        raise DiagnosticError(errors)
    return dataclasses.replace(program, errors=tuple(errors))


def _not_following(errors: list[Diagnostic], out_of_line: list[int], tokens: list[Token]) -> list[Diagnostic]:
    """Those of the lexer's that do not come of a line that should have been indented, before them in their section."""
    sections = [it.line or 1 for it in tokens if it.type in SECTIONS.values()]

    def follows(error: Diagnostic) -> bool:
        begin = max((it for it in sections if it <= error.span.line), default=0)
        return error.code == "E002" and any(begin <= it < error.span.line for it in out_of_line)

    return [it for it in errors if not follows(it)]


class _Parsing:
    """Parses tokens; after an error once more, with the line that it is in put right.

    ``errors`` are those that are no consequence of others, and of the lexer's. ``lost`` are the names in the lines that
    had to be put right, ``lost_state`` those of them in `state`. ``out_of_line`` are lines that were not indented as
    far as the one above asks for.
    """

    def __init__(self, file: Source, source: str, lexer: Lexer) -> None:
        self._file = file
        self._source = source
        self._told = set(lexer.bad_lines)
        self._unreadable = {it.span.line for it in lexer.errors if it.code == "E001"}
        self._unclosed = [it for it in lexer.unclosed if it[0].line not in self._unreadable]
        self._attempts: Counter[tuple[int, str]] = Counter()
        self.out_of_line: list[int] = []
        self.errors: list[Diagnostic] = []
        self.lost: set[str] = set()
        self.lost_state: set[str] = set()

    def tree(self, tokens: list[Token]) -> Tree[Token] | None:
        """Lark's tree; None where nothing can be read, or too much is wrong."""
        lines = self._source.split("\n")
        for line in self._unreadable:
            tokens = self._unread(tokens, line)
            self.lost |= set(_WORD.findall(lines[line - 1]))  # some may be in a string without an end
        rest: list[Token] | None = tokens
        while rest is not None and len(self.errors) < _MAX_ERRORS and self._attempts.total() < _MAX_REPAIRS:
            try:
                found = _parser().parse(rest)  # our lexer has run: Lark passes the list through
            except UnexpectedToken as error:
                rest = self._after(error, rest)
            else:
                if not self._unclosed:
                    return found
                bracket, _ = self._unclosed.pop()
                self.errors.append(_without_end(self._file, bracket, tokens))
                rest = self._unread(rest, bracket.line or 1)
        self.errors += [_without_end(self._file, bracket, tokens) for bracket, _ in self._unclosed]
        return None

    def _unread(self, tokens: list[Token], line: int) -> list[Token]:
        """The tokens without what stands in the line, in which nothing can be told."""
        at = next((at for at, it in enumerate(tokens) if it.line == line and it.type not in LAYOUT), None)
        if at is None:
            return tokens
        found = unread(tokens, at)
        self._lose(found)
        return found.tokens

    def _lose(self, found: Repaired) -> None:
        self.lost |= found.names
        self.lost_state |= found.state

    def _after(self, error: UnexpectedToken, tokens: list[Token]) -> list[Token] | None:
        token, accepts = error.token, error.accepts or error.expected
        at = next((index for index, it in enumerate(tokens) if it is token), len(tokens))
        fault = tokens[line_at_fault(tokens, at, accepts)].line or 1 if tokens else 1
        key = (fault, kind_of_fault(token, accepts))
        if self._is_new(token, fault):
            self.errors.append(_unexpected(self._file, self._source, error, tokens))
        self._told |= {fault, token.line or fault}
        if (token.type == "_DEDENT" and "_INDENT" in accepts) or "STATE" in accepts:
            self.out_of_line.append(token.line or fault)
        found = repaired(tokens, at, accepts, self._attempts[key]) if tokens else None
        self._attempts[key] += 1
        if found is None:
            return None
        self._lose(found)
        return found.tokens

    def _is_new(self, token: Token, fault: int) -> bool:
        if token.type in {"_RPAR", "_RSQB"} and not token.value:  # a bracket that is missing
            return False
        line = token.line or fault
        for it in self._unclosed:
            if (it[0].line or 1) <= line <= it[1]:
                if line > (it[0].line or 1):
                    return False
                self._unclosed.remove(it)  # what is wrong in its line may be why
                return True
        return not self._told & {fault, line}


def _without_end(file: Source, bracket: Token, tokens: list[Token]) -> Diagnostic:
    closing = {"(": ")", "[": "]", "{": "}"}[str(bracket)]
    of_loop = any(it.type == "LAMBDA" and it.line == bracket.line for it in tokens)
    help_ = "close it after the block of the loop" if of_loop else "close it on the line where its content ends"
    title = f"a `{bracket}` without its `{closing}`"
    return Diagnostic("E003", Severity.ERROR, title, _token_span(file, bracket), "this is never closed", help_)


class _PassThrough(LarkLexer):
    """Lark's lexer interface around tokens that are there already."""

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, data: list[Token]) -> Iterator[Token]:  # type: ignore[override]
        return iter(data)


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, start="program", parser="lalr", lexer=_PassThrough, maybe_placeholders=False)


def read_program(file: Source) -> str:
    """The text of a program. Raises `DiagnosticError` where it cannot be read as text, or is named as no element is."""
    if file.name.endswith(_OF_OTHERS):
        title = f"{base_name(file)} is not an element"
        help_ = "pass an element's .appnet file"
        raise DiagnosticError([Diagnostic("E004", Severity.ERROR, title, Span.whole(file), help=help_)])
    try:
        return file.text()
    except UnreadableError as error:
        if error.reason != NOT_TEXT:
            raise
        title, help_ = f"{base_name(file)} is {NOT_TEXT}", "write it in UTF-8, or pass an element's .appnet file"
        raise DiagnosticError([Diagnostic("E004", Severity.ERROR, title, Span.whole(file), help=help_)]) from error


def _unexpected(file: Source, source: str, error: UnexpectedToken, tokens: list[Token]) -> Diagnostic:
    token, braces = error.token, has_braces(source)
    names = _FRIENDLY_IN_BRACES if braces else _FRIENDLY
    if token.type == "$END" and tokens:
        last = tokens[-1]
        span = Span(file, last.line or 1, last.column or 1, last.line or 1, (last.column or 1) + 1)
    else:
        span = _token_span(file, token)
    accepted = error.accepts or error.expected
    expected = _shortened({names.get(name, name) for name in accepted} - {"`@`"})
    wanted = ", ".join(expected) if len(expected) <= 6 else ", ".join(expected[:6]) + ", …"
    remedies: tuple[Remedy, ...] = ()
    if not braces:
        place = place_of(token, tokens, accepted, source)
        help_, remedies = advice(place) or f"expected {wanted}", remedies_of(place, span)
    elif "_NEWLINE" in accepted:
        help_ = "end the statement before it with `;`, and blocks with `}`"
    else:
        help_ = f"expected {wanted}"
    found = names.get(token.type, token.type)
    if token.type in {"NAME", "INT", "FLOAT", "STRING"}:
        found = f"{found} `{token.value}`"
    for article in ("the ", "an ", "a "):
        found = found.removeprefix(article)
    return Diagnostic("E003", Severity.ERROR, f"unexpected {found}", span, "not here", help_, remedies=remedies)


def _shortened(names: set[str]) -> list[str]:
    """The names, with a word for all values and one for all operators where any of them can stand."""
    for word, group in (("a value", _VALUES), ("an operator", _OPERATORS)):
        if len(names & group) > len(group) // 2:
            names = (names - group) | {word}
    return sorted(names)


def _token_span(file: Source, token: Token) -> Span:
    line, column = token.line or 1, token.column or 1
    return Span(file, line, column, token.end_line or line, token.end_column or column + 1)


Node: TypeAlias = Tree[Token] | Token


class _TreeReader:
    """Lark's tree to our own, with places."""

    def __init__(self, file: Source, source: str, parsing: _Parsing) -> None:
        self._file = file
        self._source = source
        self._parsing = parsing
        self._depth = 0
        self.errors: list[Diagnostic] = []

    def program(self, tree: Tree[Token], *, broken: bool) -> syntax.Program | None:
        """The program; None where blocks are missing, which is told unless it may come of what has made it ``broken``.
        What is wrong is in ``errors``.
        """
        try:
            return self._program(tree, broken=broken)
        except DiagnosticError as error:
            self.errors += error.diagnostics
            return None

    def _program(self, tree: Tree[Token], *, broken: bool) -> syntax.Program | None:
        sections: dict[str, Tree[Token]] = {}
        order = list(SECTIONS.values())
        errors = self.errors
        for node in tree.children:
            section = _tree(_tree(node).children[0])
            keyword = _token(section.children[0])
            if keyword.type in sections:
                place = Label(self._span(_token(sections[keyword.type].children[0])), "the first is here")
                title = f"a second `{keyword}` block"
                errors.append(self._section_error(keyword, title, "put both into one block", place))
            elif late := [it for it in sections if order.index(it) > order.index(keyword.type)]:
                after = _token(sections[late[0]].children[0])
                place = Label(self._span(after), f"it belongs before `{after}`")
                help_ = f"the order is {', '.join(SECTIONS)}"
                errors.append(self._section_error(keyword, f"`{keyword}` comes too late", help_, place))
            sections.setdefault(keyword.type, section)
        first = _token(_tree(_tree(tree.children[0]).children[0]).children[0])
        missing = [text for text, name in SECTIONS.items() if name not in sections and text not in OPTIONAL_SECTIONS]
        for text in missing if not broken else ():
            wrong = self._section_error(first, f"the program has no `{text}` block", self._beginning(text))
            remedies = () if has_braces(self._source) else new_block(wrong.span, text)
            errors.append(dataclasses.replace(wrong, remedies=remedies))
        if missing:
            return None
        return syntax.Program(
            self._file,
            _token_span(self._file, first),
            tuple(self._declaration(it) for it in _trees(sections["STATE"]) if it.data == "state_declaration"),
            tuple(self._parameter(it) for it in _trees(sections["INIT"]) if it.data == "parameter"),
            self._handler(sections["INIT"]),
            self._handler(sections["REQ"]),
            self._handler(sections["RESP"]),
            frozenset(self._parsing.lost | {LOST}) if broken else frozenset(),
            frozenset(self._parsing.lost_state),
            open=self._handler(sections["OPEN"]) if "OPEN" in sections else None,
            end=self._handler(sections["END"]) if "END" in sections else None,
        )

    def _beginning(self, section: str) -> str:
        """Advice to add a section."""
        head = section + {"state": "", "init": "()"}.get(section, "(rpc)")
        if has_braces(self._source):
            return f"add `{'' if section == 'state' else 'fn '}{head} {{ … }}`"
        return f"add `{head}:`"

    def _error(self, code: str, title: str, span: Span, help_: str, remedies: tuple[Remedy, ...] = ()) -> None:
        self.errors.append(Diagnostic(code, Severity.ERROR, title, span, help=help_, remedies=remedies))

    @contextmanager
    def _nested(self, tree: Tree[Token], levels: int, help_: str) -> Iterator[None]:
        """Counts how deep the reader is: every later stage goes as deep, with more frames a level."""
        self._depth += levels
        if self._depth > _MAX_NESTING:
            title = f"blocks and expressions nested more than {_MAX_NESTING} deep"
            raise DiagnosticError([Diagnostic("E003", Severity.ERROR, title, self._span(tree), help=help_)])
        yield
        self._depth -= levels

    def _section_error(self, token: Token, title: str, help_: str, *places: Label) -> Diagnostic:
        return Diagnostic("E005", Severity.ERROR, title, _token_span(self._file, token), "", help_, places)

    def _span(self, node: Node) -> Span:
        first, last = _ends(node)
        start, end = _token_span(self._file, first), _token_span(self._file, last)
        return Span(self._file, start.line, start.column, end.end_line, end.end_column)

    # --- declarations ---

    def _declaration(self, tree: Tree[Token]) -> syntax.StateDeclaration:
        *decorators, name, type_ = _trees(tree)
        return syntax.StateDeclaration(
            self._span(name), self._name(name), self._type(type_), tuple(self._decorator(it) for it in decorators)
        )

    def _decorator(self, tree: Tree[Token]) -> syntax.Decorator:
        name, argument = _trees(tree)
        value = self.expression(argument)
        assert isinstance(value, syntax.Name | syntax.Number | syntax.Text | syntax.Truth)
        return syntax.Decorator(self._span(tree), self._name(name), value)

    def _type(self, tree: Tree[Token]) -> syntax.TypeName:
        with self._nested(tree, 1, "keep it in two state variables"):
            if tree.data == "pair_type":
                return syntax.TypeName(self._span(tree), "pair", tuple(self._type(it) for it in _trees(tree)))
            name, *parts = _trees(tree)
            return syntax.TypeName(self._span(tree), self._name(name).name, tuple(self._type(it) for it in parts))

    def _parameter(self, tree: Tree[Token]) -> syntax.Parameter:
        name, *default = _trees(tree)
        return syntax.Parameter(self._span(tree), self._name(name), self.expression(default[0]) if default else None)

    def _handler(self, section: Tree[Token]) -> syntax.HandlerBlock:
        span = _token_span(self._file, _token(section.children[0]))
        named = [self._name(it).name for it in _trees(section) if it.data == "name"]
        return syntax.HandlerBlock(span, self._body(_trees(section)[-1]), named[0] if named else "rpc")

    # --- statements ---

    def _body(self, tree: Tree[Token]) -> tuple[syntax.Statement, ...]:
        return tuple(self._statement(it) for it in _trees(tree))

    def _statement(self, tree: Tree[Token]) -> syntax.Statement:
        readers: dict[str, Callable[[Tree[Token]], syntax.Statement]] = {
            "pass": lambda it: syntax.Pass(self._span(it)),
            "assign": self._assign,
            "evaluate": lambda it: syntax.Evaluate(self._span(it), self.expression(_trees(it)[0])),
            "send": self._send,
            "match": self._match,
            "if": self._if,
            "foreach": self._foreach,
        }
        with self._nested(tree, 1, "split the element in two"):
            return readers[tree.data](tree)

    def _assign(self, tree: Tree[Token]) -> syntax.Assign:
        targets, value = _trees(tree)
        names = tuple(self._name(it) for it in _trees(targets))
        return syntax.Assign(self._span(tree), names, self.expression(value))

    def _send(self, tree: Tree[Token]) -> syntax.Send:
        value, direction = _trees(tree)
        name = self._name(direction)
        way = name.name.lower()
        if way not in {"up", "down"}:
            title = f"`{name.name}` is not a direction"
            help_ = "a request goes `Down`, a response goes `Up`"
            self._error("E030", title, name.span, help_, instead(name.span, "Down", "Up"))
            way = ""
        return syntax.Send(self._span(tree), self.expression(value), way, name.span)

    def _match(self, tree: Tree[Token]) -> syntax.MatchOn:
        subject, *arms = _trees(tree)
        read = tuple(syntax.MatchArm(self._case(_trees(it)[0]), self._body(_trees(it)[1])) for it in arms)
        expression = self.expression(subject)
        return syntax.MatchOn(expression.span, expression, read)

    def _case(self, tree: Tree[Token]) -> syntax.Case:
        span = self._span(tree)
        if tree.data == "none_case":
            return syntax.NoneCase(span)
        if tree.data == "any_case":
            return syntax.AnyCase(span)
        if tree.data == "some_case":
            names = _trees(tree)
            return syntax.SomeCase(span, self._name(names[0]) if names else None)
        literal = _trees(tree)[0]
        negative = literal.data == "negative"
        value = self.expression(_trees(literal)[0] if negative else literal)
        if negative and isinstance(value, syntax.Number):
            value = syntax.Number(span, -value.value)
        assert isinstance(value, syntax.Number | syntax.Text | syntax.Truth)
        return syntax.LiteralCase(span, value)

    def _if(self, tree: Tree[Token]) -> syntax.MatchOn:
        condition, body, *rest = _trees(tree)
        branches = [(condition, body)]
        while rest and rest[0].data == "elif":
            branches.append((_trees(rest[0])[0], _trees(rest[0])[1]))
            rest.pop(0)
        with self._nested(tree, len(branches) - 1, "match on a value, or look it up in a Map"):
            otherwise: tuple[syntax.Statement, ...] = self._body(rest[0]) if rest else ()
            for condition, body in reversed(branches):
                subject = self.expression(condition)
                span = subject.span
                arms = (
                    syntax.MatchArm(syntax.LiteralCase(span, syntax.Truth(span, value=True)), self._body(body)),
                    syntax.MatchArm(syntax.AnyCase(span), otherwise),
                )
                otherwise = (syntax.MatchOn(span, subject, arms),)
        statement = otherwise[0]
        assert isinstance(statement, syntax.MatchOn)
        return statement

    def _foreach(self, tree: Tree[Token]) -> syntax.ForEach:
        items, *names, body = _trees(tree)
        expression = self.expression(items)
        return syntax.ForEach(expression.span, expression, tuple(map(self._name, names)), self._body(body))

    # --- expressions ---

    def _name(self, tree: Tree[Token]) -> syntax.Name:
        return syntax.Name(self._span(tree), str(_token(tree.children[0])))

    def expression(self, tree: Tree[Token]) -> syntax.Expression:
        chained = "each operator contains everything before it: " if tree.data == "binary" else ""
        with self._nested(tree, 1, f"{chained}give a part its own name"):
            return self._read_expression(tree)

    def _number(self, token: Token, span: Span) -> syntax.Number:
        text = token.replace("_", "")
        if token.type == "INT" and len(text) <= _MAX_DIGITS:
            return syntax.Number(span, int(text))
        if token.type == "FLOAT" and math.isfinite(float(text)):
            return syntax.Number(span, float(text))
        title = "a number larger than any float" if token.type == "FLOAT" else f"a number of {len(text)} digits"
        self._error("E024", title, span, "the largest int is 9223372036854775807; `inf` is more than any float")
        return syntax.Number(span, 0)

    def _read_expression(self, tree: Tree[Token]) -> syntax.Expression:
        span = self._span(tree)
        match tree.data:
            case "name":
                return self._name(tree)
            case "number":
                return self._number(_token(tree.children[0]), span)
            case "text":
                return syntax.Text(span, _token(tree.children[0]).encode("utf-8", "surrogateescape"))
            case "truth":
                return syntax.Truth(span, _token(tree.children[0]).type == "TRUE")
            case "unary":
                operator, operand = tree.children
                return syntax.Unary(span, str(operator), self.expression(_tree(operand)))
            case "binary":
                left, operator, right = tree.children
                operands = self.expression(_tree(left)), self.expression(_tree(right))
                return syntax.Binary(span, str(operator), *operands)
            case "apply":
                function, *arguments = _trees(tree)
                return syntax.Apply(span, self._name(function), tuple(self.expression(it) for it in arguments))
            case "pair":
                first, second = _trees(tree)
                return syntax.PairOf(span, self.expression(first), self.expression(second))
            case "vec":
                return syntax.VecOf(span, tuple(self.expression(it) for it in self._items(tree)))
            case _:
                return syntax.MapOf(span, tuple(self._entry(it) for it in self._items(tree)))

    def _items(self, tree: Tree[Token]) -> list[Tree[Token]]:
        """What the literal holds; where that is too much, the first of it, so that no other error follows."""
        items = _trees(tree)
        if len(items) > _MAX_ITEMS:
            title = f"a literal of more than {_MAX_ITEMS:,} items"
            self._error("E003", title, self._span(tree), "split its content among several elements")
        return items[:_MAX_ITEMS]

    def _entry(self, tree: Tree[Token]) -> tuple[syntax.Expression, syntax.Expression]:
        key, value = _trees(tree)
        return self.expression(key), self.expression(value)


def _tree(node: Any) -> Tree[Token]:
    assert isinstance(node, Tree)
    return node


def _token(node: Any) -> Token:
    assert isinstance(node, Token)
    return node


def _trees(tree: Tree[Token]) -> list[Tree[Token]]:
    return [child for child in tree.children if isinstance(child, Tree)]


def _ends(node: Node) -> tuple[Token, Token]:
    """The first and the last token that the tree kept."""
    first = last = node
    while isinstance(first, Tree):
        first = first.children[0]
    while isinstance(last, Tree):
        last = last.children[-1]
    return first, last
