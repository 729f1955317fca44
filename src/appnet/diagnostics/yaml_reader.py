"""YAML as it was written: values with their places, and everything wrong with them told at once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import yaml

from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.near import suggestion
from appnet.diagnostics.place import Label, Source, Span
from appnet.diagnostics.remedy import Remedy, across, instead, near, without
from appnet.diagnostics.source import base_name

_TAGS = {
    "tag:yaml.org,2002:str": "a string",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:bool": "true or false",
    "tag:yaml.org,2002:null": "empty",
    "tag:yaml.org,2002:timestamp": "a date",
    "tag:yaml.org,2002:seq": "a list",
    "tag:yaml.org,2002:map": "a mapping",
}

_TEXT, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
_SCALAR_TAGS = frozenset(f"tag:yaml.org,2002:{it}" for it in ("str", "int", "float", "bool"))
_LONGEST_SHOWN = 40

Scalar = bool | int | float | str


@dataclass(frozen=True)
class Located:
    """A text and where it stands."""

    value: str
    span: Span

    def __str__(self) -> str:
        return self.value


class Problems:
    """Collects what is wrong with one source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.found: list[Diagnostic] = []

    def add(
        self,
        code: str,
        title: str,
        span: Span,
        label: str = "",
        help_: str = "",
        *places: Label,
        remedies: tuple[Remedy, ...] = (),
    ) -> None:
        """Adds an error."""
        self.found.append(Diagnostic(code, Severity.ERROR, title, span, label, help_, places, remedies))

    def raise_any(self) -> None:
        """Raises ``DiagnosticError`` with all that was added, in the order of the file, if anything was."""
        if self.found:
            raise DiagnosticError(sorted(self.found, key=lambda it: (it.span.line, it.span.column)))


def read_documents(source: Source) -> list[yaml.Node]:
    """The YAML documents in ``source``, empty ones left out. Raises ``DiagnosticError`` for one that has none."""
    text = source.text()
    try:
        return [it for it in yaml.compose_all(text, Loader=yaml.SafeLoader) if it is not None and not _is_nothing(it)]
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(source, text, error) from error
    except yaml.reader.ReaderError as error:
        raise _bad_character(source, text, error) from error
    except RecursionError as error:
        help_, title = (
            "remove a level: nothing that AppNet reads is that deep",
            f"{base_name(source)} is nested too deep",
        )
        raise DiagnosticError([_error("C002", title, Span.whole(source), "", help_)]) from error


class Section:
    """A YAML mapping that is being read: hands out its values and adds what is wrong with them to ``problems``."""

    def __init__(self, node: yaml.MappingNode, problems: Problems, place: Span | None = None) -> None:
        self.problems = problems
        self.span = place or node_span(problems.source, node)
        """The key that the mapping belongs to, or its first line."""
        self._entries: dict[str, tuple[Span, yaml.Node]] = {}
        for key, value in node.value:
            span = node_span(problems.source, key)
            if not isinstance(key, yaml.ScalarNode):
                problems.add("C004", "a key that is not a string", span, f"it is {_kind(key)}", "write a plain word")
            elif key.value in self._entries:
                first = Label(self._entries[key.value][0], "the first is here")
                problems.add("C013", f"`{key.value}` appears twice", span, "the second", "keep one", first)
            else:
                self._entries[key.value] = (span, value)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def values(self) -> Iterable[tuple[str, yaml.Node]]:
        """Each key with its value."""
        return [(key, node) for key, (_, node) in self._entries.items()]

    def get(self, key: str) -> yaml.Node | None:
        """The value at ``key``, whatever it is; None where the key is not there."""
        return self._value(key, "")

    def key_span(self, key: str) -> Span:
        """Where the key stands; the section itself where it does not."""
        return self._entries[key][0] if key in self._entries else self.span

    def only(self, known: Iterable[str], refused: dict[str, str] | None = None) -> None:
        """Adds an error for every key not among ``known``; ``refused`` gives some of them a help of their own."""
        names = list(known)
        for key, (span, _) in self._entries.items():
            if refused and key in refused:
                remedies = self.without(key) if refused[key].startswith("remove it") else ()
                self.problems.add(
                    "C010", f"`{key}` is not supported", span, "not used here", refused[key], remedies=remedies
                )
            elif key not in names:
                advice = suggestion(key, names, what="keys here")
                title = f"unknown key `{_shown(key)}`"
                self.problems.add("C010", title, span, "unknown", advice, remedies=near(span, key, names))

    def without(self, key: str) -> tuple[Remedy, ...]:
        """What leaves the key out with its value, where that is on the same line."""
        span, node = self._entries[key]
        here = isinstance(node, yaml.ScalarNode) and node.end_mark.line == span.line - 1
        return without(across(span, node_span(self.problems.source, node))) if here else ()

    def text(self, key: str, *, needed: str = "", lines: bool = False) -> Located | None:
        """The text at ``key``: one line without spaces around it, or ``lines`` as they are. ``needed`` says what it is
        for, where its absence is an error."""
        node = self._value(key, needed)
        if node is None:
            return None
        span = node_span(self.problems.source, node)
        if isinstance(node, yaml.ScalarNode) and node.tag == _NULL:
            self.problems.add(
                "C017", f"`{key}` is empty", self.key_span(key), "no value", f"write {needed or 'a string'}"
            )
        elif not isinstance(node, yaml.ScalarNode) or node.tag != _TEXT:
            help_, quoted = f"write {needed or 'a string'}", instead(span)
            if isinstance(node, yaml.ScalarNode):
                help_, quoted = _in_quotes(node), instead(span, _quoted(node))
            self._wrong_type(key, node, "a string", help_, quoted)
        elif not node.value.strip():
            self.problems.add("C017", f"`{key}` is empty", span, "empty", f"write {needed or 'a string'}")
        elif lines:
            return Located(node.value, span)
        elif not node.value.strip().isprintable():
            help_ = f"write {needed or 'a string'}"
            self.problems.add("C012", f"`{key}` must be one line", span, "line breaks or control characters", help_)
        else:
            return Located(node.value.strip(), span)
        return None

    def text_or_empty(self, key: str) -> Located | None:
        """The text at ``key``; None where it is not there or empty, as programs that write YAML leave it."""
        node = self._value(key, "")
        empty = node is not None and (_is_nothing(node) or (node.tag == _TEXT and not str(node.value).strip()))
        return None if node is None or empty else self.text(key)

    def section(self, key: str, *, needed: str = "") -> Section | None:
        """The mapping at ``key``."""
        node = self._value(key, needed)
        if node is None:
            return None
        if isinstance(node, yaml.MappingNode):
            return Section(node, self.problems, self.key_span(key))
        self._wrong_type(key, node, "a mapping", "indent its keys under it, each as `key: value`")
        return None

    def items(self, key: str, help_: str) -> list[yaml.Node] | None:
        """The nodes of the list at ``key``; None, after an error, where it is no list or (C032) an empty one."""
        node = self._value(key, "")
        if node is None:
            return None
        if isinstance(node, yaml.SequenceNode) and node.value:
            return list(node.value)
        empty = isinstance(node, yaml.SequenceNode) or node.tag == _NULL
        if empty:
            self.problems.add("C032", f"`{key}` is empty", self.key_span(key), "nothing in it", help_)
        else:
            self._wrong_type(key, node, "a list", help_)
        return None

    def scalars(self, key: str) -> dict[str, tuple[Scalar, Span]]:
        """The mapping at ``key``, each of its values a text, number or truth value as YAML understands it.

        The places are those of the whole entries. A key with nothing after it has no entries.
        """
        node = self._value(key, "")
        section = None if node is None or _is_nothing(node) else self.section(key)
        found: dict[str, tuple[Scalar, Span]] = {}
        if section is None:
            return found
        for name, node in section.values():
            span = node_span(self.problems.source, node)
            value = scalar_value(node)
            if value is not None:
                found[name] = (
                    value,
                    replace(section.key_span(name), end_line=span.end_line, end_column=span.end_column),
                )
            elif node.tag in _SCALAR_TAGS:
                title = f"`{name}` cannot be read as {_kind(node)}"
                self.problems.add("C012", title, span, "invalid format or size", "for a string, use quotes")
            else:
                help_ = "write a string (in quotes if it looks like something else), a number, true or false"
                self.problems.add("C012", f"`{name}` is {_kind(node)}", span, "a single value is needed", help_)
        return found

    def scalar(self, key: str) -> tuple[Scalar, Span] | None:
        """The text, number or truth value at ``key``, and its place."""
        node = self._value(key, "")
        if node is None:
            return None
        value = scalar_value(node)
        if value is None:
            self._wrong_type(key, node, "a single value", "write a string, a number, true or false")
            return None
        return value, node_span(self.problems.source, node)

    def flag(self, key: str, *, otherwise: bool = False) -> bool:
        """The truth value at ``key``; ``otherwise`` where there is none."""
        found = self.scalar(key)
        if found is None:
            return otherwise
        value, span = found
        if not isinstance(value, bool):
            self.problems.add("C012", f"`{key}` must be true or false", span, "this is neither", "write true or false")
        return value is True

    def _value(self, key: str, needed: str) -> yaml.Node | None:
        if key in self._entries:
            return self._entries[key][1]
        if needed:
            self.problems.add("C011", f"`{key}` is missing", self.span, f"no `{key}` here", f"add {needed}")
        return None

    def _wrong_type(
        self, key: str, node: yaml.Node, wanted: str, help_: str, remedies: tuple[Remedy, ...] = ()
    ) -> None:
        span = node_span(self.problems.source, node)
        title, label = f"`{key}` must be {wanted}", f"this is {_kind(node)}"
        self.problems.add("C012", title, span, label, help_, remedies=remedies)


def node_span(source: Source, node: yaml.Node) -> Span:
    """Where a node stands; of one that fills several lines its first."""
    start, end = node.start_mark, node.end_mark
    if end.line != start.line:
        return Span(source, start.line + 1, start.column + 1, end.line + 1, end.column + 1)
    return Span(source, start.line + 1, start.column + 1, start.line + 1, max(end.column, start.column + 1) + 1)


def _is_nothing(node: yaml.Node) -> bool:
    """Whether nothing is written there."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL and not node.value


def scalar_value(node: yaml.Node) -> Scalar | None:
    """The value of a node; None where it has none, or an explicit tag promises another than the text gives."""
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALAR_TAGS:
        return None
    try:
        value: Scalar = yaml.SafeLoader("").construct_object(node)
    except (ValueError, KeyError):
        return None
    return value


def unreadable(node: yaml.Node, source: Source) -> tuple[str, Span] | None:
    """The first value in the node that cannot be read as what it says it is: why, and where; None where all can."""
    try:
        yaml.SafeLoader("").construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        span = Span(source, mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2) if mark else None
        return error.problem or "no such value", span or node_span(source, node)
    except (ValueError, OverflowError, LookupError, AttributeError, TypeError):  # as PyYAML fails by its kind
        return "a value does not match its form or its tag", node_span(source, node)
    return None


def _kind(node: yaml.Node) -> str:
    return _TAGS.get(node.tag, f"of the type {node.tag}")


def _shown(text: str) -> str:
    """``text`` on one line and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_SHOWN else line[:_LONGEST_SHOWN] + "…"


def _quoted(node: yaml.ScalarNode) -> str:
    """The value as a text."""
    return json.dumps(node.value, ensure_ascii=False)


def _in_quotes(node: yaml.ScalarNode) -> str:
    return f'write it in quotes: "{_shown(node.value)}"'


def _error(code: str, title: str, span: Span, label: str = "", help_: str = "") -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, title, span, label, help_)


def _bad_character(source: Source, text: str, error: yaml.reader.ReaderError) -> DiagnosticError:
    before = text[: error.position]
    line, column = before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1
    label = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
    span = Span(source, line, column, line, column + 1)
    return DiagnosticError([_error("C002", f"{base_name(source)} is not valid YAML", span, label, "remove it")])


_SYNTAX_ADVICE = (
    ("'\\t'", "indent with spaces: YAML does not allow tabs"),
    (
        "expected <block end>",
        "start entries of one level in the same column, with list items under their key",
    ),
    ("could not find expected ':'", "write `key: value`: the line before has no colon"),
    ("mapping values are not allowed", "a value that contains `: ` needs quotes; a key needs its own line"),
    ("expected ',' or", "close the bracket, or write each item on its own line: `- value`"),
    ("cannot start any token", "put the value in quotes"),
    ("found unexpected end of stream", "close the quote"),
)


def _syntax_error(source: Source, text: str, error: yaml.MarkedYAMLError) -> DiagnosticError:
    mark, began = error.problem_mark, error.context_mark
    problem = error.problem or "it ends too early"
    if began is not None and (mark is None or mark.index >= len(text)):
        mark, problem = began, f"{problem} {error.context}"  # what never ended is shown where it began
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    span = Span(source, line, column, line, column + 1)
    help_ = next((advice for words, advice in _SYNTAX_ADVICE if words in problem), "")
    places: tuple[Label, ...] = ()
    if began is not None and mark is not began:
        begin = Span(source, began.line + 1, began.column + 1, began.line + 1, began.column + 2)
        what = (error.context or "").removeprefix("while ").removeprefix("parsing ").removeprefix("scanning ")
        places = (Label(begin, f"{what} begins here"),)
    title = f"{base_name(source)} is not valid YAML"
    return DiagnosticError([Diagnostic("C002", Severity.ERROR, title, span, problem, help_, places)])
