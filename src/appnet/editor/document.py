"""What an editor asks about an element's text: what stands at a place, where it is defined, what could stand there.

The text is checked once, when the first answer needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from appnet.application.proto import load_proto
from appnet.compile.check import CheckedText, check_element
from appnet.diagnostics.diagnostic import Diagnostic
from appnet.diagnostics.place import Source, Span
from appnet.editor.built_ins import FUNCTIONS, documentation, usage
from appnet.editor.outline import DECLARED, above, section_at
from appnet.language.declarations import DECORATORS
from appnet.language.lexer import KEYWORDS, SECTIONS
from appnet.language.messages import Field
from appnet.language.scope import Mention
from appnet.language.statuses import STATUS_CODES
from appnet.language.typed import CheckedState, Variable
from appnet.language.types import SCALARS, MapType, VecType

TYPES = (*sorted(it.name for it in SCALARS), "Map", "Vec")
_WORD = re.compile(r"\w+")
_ASSIGNED = (
    re.compile(r"^\s*\(?(\w+)(?:\s*,\s*(\w+)\)?)?\s*:?=(?![=>])"),
    re.compile(r"\bSome\((\w+)\)"),
    re.compile(r"\blambda\((\w+)\)"),
)
_IN_FIELD = re.compile(
    r"(?:\b(?:get|set|byte_size|has|clear|size)\(\s*\w+\s*,\s*|\b\w+\.(?:get|set)\(\s*)['\"]([\w.]*)$"
)
_IN_CODE = re.compile(r"\berr\((?:'[^']*'|\"[^\"]*\"|[^,'\"])*,\s*\w*$")
_IN_DIRECTION = re.compile(r"\bsend\(.*,\s*\w*$")
_IN_STRING = re.compile(r"""^(?:[^'"]|'[^']*'|"[^"]*")*['"][^'"]*$""")


@dataclass(frozen=True)
class Completion:
    """Something that can be written. ``kind``: ``field``, ``function``, ``variable``, ``keyword``, ``type``,
    ``constant``, ``key`` or ``name``.

    ``insert``: what is written, where it is more than ``text``. ``replaces``: how many characters before the place it
    takes the place of; None leaves that to the editor.
    """

    text: str
    kind: str
    detail: str = ""
    documentation: str = ""
    insert: str = ""
    replaces: int | None = None


class ElementText:
    """The text of an element in an editor, saved or not, right or not."""

    def __init__(self, source: Source, check: Callable[[Source], CheckedText] = check_element) -> None:
        self.source = source
        self.lines = source.text().split("\n")
        self._check = check

    @cached_property
    def checked(self) -> CheckedText:
        """The text as `appnetctl check` sees it."""
        return self._check(self.source)

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """What is wrong with it."""
        return self.checked.diagnostics

    def hover(self, line: int, column: int) -> str:
        """Markdown on what stands at the place, both counted from 1; empty where nothing is to be told."""
        mention = self._mention(line, column)
        if mention is not None:
            return _described(mention)
        word = self._word(line, column)
        if word in STATUS_CODES:
            return f"`{word}`: gRPC status {STATUS_CODES[word]}"
        return documentation(word)

    def definition(self, line: int, column: int) -> Span | None:
        """Where the variable at the place is declared or first assigned, or the field in the .proto."""
        mention = self._mention(line, column)
        if mention is None:
            return None
        if isinstance(mention.target, Field):
            return self._place_of_field(mention.target, self._section(line + 1))
        return mention.target.span

    def completions(self, line: int, column: int) -> list[Completion]:
        """What could be written at the place."""
        before = self.lines[line - 1][: column - 1] if line <= len(self.lines) else ""
        section = self._section(line)
        if found := _IN_FIELD.search(before):
            return list(self._fields(section, found.group(1)))
        if _IN_STRING.match(before):
            return []
        if section == "state":
            return _of_declarations(before)
        if _IN_CODE.search(before):
            return [Completion(name, "constant", f"gRPC status {code}") for name, code in STATUS_CODES.items() if code]
        if _IN_DIRECTION.search(before) and "err(" not in before.rpartition(",")[2]:
            return [Completion(name, "constant") for name in ("Down", "Up")]
        return [*self._variables(line), *_of_the_language(section)]

    # --- names ---

    def _mention(self, line: int, column: int) -> Mention | None:
        here = [it for it in self.checked.mentions if holds(it.span, line, column)]
        return here[-1] if here else None  # of what was tried for a name, the last is what it came to be

    def _word(self, line: int, column: int) -> str:
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return next((it.group() for it in _WORD.finditer(text) if it.start() < column <= it.end() + 1), "")

    def _section(self, line: int) -> str:
        return section_at(self.lines, line)

    # --- what can be written ---

    def _fields(self, section: str, begun: str) -> Iterator[Completion]:
        method = self.checked.method
        if method is None:
            return
        message = method.response if section == "resp" else method.request
        prefix = begun.rpartition(".")[0]
        for field in message.all_fields():
            if field.path.startswith(f"{prefix}." if prefix else ""):
                text = field.path[len(prefix) + 1 :] if prefix else field.path
                yield Completion(text, "field", _kind(field) if field.is_message else f"{field.type} ({field.kind})")

    def _place_of_field(self, field: Field, section: str) -> Span | None:
        method, use = self.checked.method, self.checked.use
        if method is None or use is None:
            return None
        message = method.response if section == "resp" else method.request
        return load_proto(use.chain.proto, use.chain.proto_roots).place(message.full_name, field.path)

    def _variables(self, line: int) -> list[Completion]:
        """State variables, and what is assigned above in the same block; the text need not be a program."""
        here = self._section(line)
        found: dict[str, str] = {}
        for section, text in above(self.lines, line):
            if section == "state" and (declared := DECLARED.match(text)):
                found.setdefault(declared.group(1), declared.group(2).strip())
            elif section == here:
                names = (name for pattern in _ASSIGNED for it in pattern.finditer(text) for name in it.groups() if name)
                found |= {name: "" for name in names if name not in found}
        return [Completion(name, "variable", type_) for name, type_ in found.items()]


def holds(span: Span, line: int, column: int) -> bool:
    """Whether the span has the place in it, or ends there."""
    return span.line == line == span.end_line and span.column <= column <= span.end_column


def _kind(field: Field) -> str:
    """What a field of messages holds."""
    if not field.many:
        return "a message"
    return "a map of messages" if field.key_kind else "repeated messages"


def _described(mention: Mention) -> str:
    target = mention.target
    match target:
        case Field(is_message=True):
            return f"field `{target.path}`: {_kind(target)}"
        case Field():
            return f"field `{target.path}`: `{target.type}`  \n{target.kind} in the .proto"
        case CheckedState():
            marks = [f"capacity {target.capacity}"] if isinstance(target.type, MapType | VecType) else []
            marks += [f"consistency {target.consistency}"] if target.consistency != "local" else []
            marks += [f"combiner {target.combiner}"] if target.combiner else []
            marks += ["persistent"] if target.persistent else []
            marks += [f"while its store is away: {target.unavailable}"] if target.unavailable else []
            return f"state `{target.name}`: `{target.type}`" + (f"  \n{', '.join(marks)}" if marks else "")
        case Variable():
            return f"local `{target.name}`: `{target.type or 'Vec'}`"


def _of_declarations(before: str) -> list[Completion]:
    if re.search(r"@\w*$", before):
        return [Completion(name, "keyword", takes) for name, takes in DECORATORS.items()]
    return [Completion(name, "type") for name in TYPES] if ":" in before else []


def _of_the_language(section: str) -> list[Completion]:
    if not section:
        return [Completion(name, "keyword") for name in SECTIONS]
    functions = [Completion(name, "function", usage(name), documentation(name)) for name in FUNCTIONS]
    return functions + [Completion(name, "keyword") for name in KEYWORDS if name != "_" and name not in FUNCTIONS]
