"""Reads the syntax of RE2 that AppNet takes; docs/language.md lists it."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace

from appnet.language.patterns.tree import (
    GREATEST,
    Assertion,
    Chars,
    Concat,
    Either,
    Node,
    PatternError,
    Ranges,
    Repeat,
    folded,
    united,
    without,
)
from appnet.language.patterns.unicode import unicode_class

_DEEPEST = 50
_MOST_REPEATS = 1000  # as in RE2, for nested ones multiplied

_DIGIT: Ranges = ((0x30, 0x39),)
_SPACE: Ranges = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
_UPPER: Ranges = ((0x41, 0x5A),)
_LOWER: Ranges = ((0x61, 0x7A),)
_WORD: Ranges = (*_DIGIT, *_UPPER, (0x5F, 0x5F), *_LOWER)
_PERL = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
_POSIX: dict[str, Ranges] = {
    "alnum": (*_DIGIT, *_UPPER, *_LOWER),
    "alpha": (*_UPPER, *_LOWER),
    "ascii": ((0x00, 0x7F),),
    "blank": ((0x09, 0x09), (0x20, 0x20)),
    "cntrl": ((0x00, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGIT,
    "graph": ((0x21, 0x7E),),
    "lower": _LOWER,
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((0x09, 0x0D), (0x20, 0x20)),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": (*_DIGIT, (0x41, 0x46), (0x61, 0x66)),
}
_NAME = frozenset(string.ascii_letters + "_")
_CONTROLS = {"a": 0x07, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}
_EDGES = {
    "A": Assertion.TEXT_BEGIN,
    "z": Assertion.TEXT_END,
    "b": Assertion.WORD_EDGE,
    "B": Assertion.NO_WORD_EDGE,
}
_ESCAPES = "there are \\d \\s \\w \\D \\S \\W \\b \\B \\A \\z \\a \\f \\n \\r \\t \\v \\xHH \\x{H…}"


@dataclass(frozen=True)
class _Flags:
    fold: bool = False  # i
    lines: bool = False  # m
    all: bool = False  # s


def read(text: str) -> Node:
    """The pattern's tree. Raises `PatternError`."""
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._names: set[str] = set()

    def whole(self) -> Node:
        node, _ = self._choices(_Flags())
        if self._at < len(self._text):
            raise self._error("`)` closes no group", "write \\) for the character", self._at)
        return node

    # --- the text ---

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, wanted: str) -> bool:
        if not self._text.startswith(wanted, self._at):
            return False
        self._at += len(wanted)
        return True

    def _next(self) -> str:
        self._at += 1
        return self._text[self._at - 1 : self._at]

    def _error(self, why: str, help_: str, start: int) -> PatternError:
        return PatternError(why, help_, start, max(min(self._at, len(self._text)), start + 1))

    # --- structure ---

    def _choices(self, flags: _Flags) -> tuple[Node, int]:
        """What stands up to the end or a `)`, and by how much repetitions in it are multiplied."""
        choices: list[Node] = []
        most = 1
        while True:
            parts: list[Node] = []
            while self._peek() not in {"", "|", ")"}:
                changed = self._flag_group(flags)
                if changed is not None:
                    flags = changed
                    continue
                node, repeats = self._repeated(flags)
                parts.append(node)
                most = max(most, repeats)
            choices.append(parts[0] if len(parts) == 1 else Concat(tuple(parts)))
            if not self._take("|"):
                return (choices[0] if len(choices) == 1 else Either(tuple(choices))), most

    def _repeated(self, flags: _Flags) -> tuple[Node, int]:
        node, repeats = self._atom(flags)
        operator = self._at
        bounds = self._bounds()
        if bounds is None:
            return node, repeats
        least, most = bounds
        self._take("?")  # whether it is greedy does not matter: only whether there is a match is asked
        repeats *= max(most or least, 1) if (least, most) not in {(0, None), (1, None), (0, 1)} else 1
        if repeats > _MOST_REPEATS:
            raise self._error(
                "the pattern repeats too often", f"repeat at most {_MOST_REPEATS} times in total", operator
            )
        again = self._at
        if self._bounds() is not None:
            raise self._error("a repetition is repeated", "put the first into a group: (?:…)", again)
        return Repeat(node, least, most), repeats

    def _bounds(self) -> tuple[int, int | None] | None:
        """The repetition that stands here, if there is one."""
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        begin = self._at
        if not self._take("{"):
            return None
        least = self._number()
        most: int | None = least
        if self._take(","):
            most = self._number()
        elif least is None:
            least = -1
        if least is None or least < 0 or not self._take("}"):
            raise self._error(
                "`{` does not begin a repetition", "write {n}, {n,} or {n,m}, and \\{ for the character", begin
            )
        if max(least, most or 0) > _MOST_REPEATS:
            raise self._error("the pattern repeats too often", f"repeat at most {_MOST_REPEATS} times in total", begin)
        if most is not None and most < least:
            raise self._error("the bounds are in the wrong order", f"write {{{most},{least}}}", begin)
        return least, most

    def _number(self) -> int | None:
        begin = self._at
        while self._peek() and self._peek() in string.digits and self._at < begin + 5:
            self._at += 1
        return int(self._text[begin : self._at]) if self._at > begin else None

    def _atom(self, flags: _Flags) -> tuple[Node, int]:
        begin = self._at
        char = self._next()
        match char:
            case "(":
                return self._group(flags, begin)
            case "[":
                return self._set(flags, begin), 1
            case ".":
                return Chars(((0, GREATEST),) if flags.all else without([(10, 10)])), 1
            case "^":
                return Assertion.LINE_BEGIN if flags.lines else Assertion.TEXT_BEGIN, 1
            case "$":
                return Assertion.LINE_END if flags.lines else Assertion.TEXT_END, 1
            case "*" | "+" | "?" | "{":
                raise self._error(f"`{char}` has nothing to repeat", f"write \\{char} for the character", begin)
            case "\\":
                if self._peek() in _EDGES and self._peek():
                    return _EDGES[self._next()], 1
                return Chars(self._escaped(flags, begin)), 1
            case _:
                return Chars(self._letter(ord(char), flags, begin)), 1

    def _letter(self, code: int, flags: _Flags, begin: int) -> Ranges:
        if flags.fold and code > 0x7F:
            raise self._no_fold(begin)
        return folded([(code, code)]) if flags.fold else ((code, code),)

    def _no_fold(self, begin: int) -> PatternError:
        return self._error("(?i) supports only ASCII letters", "write both cases: [éÉ]", begin)

    # --- groups ---

    def _flag_group(self, flags: _Flags) -> _Flags | None:
        """``(?i)``: flags for the rest of the group, if that stands here."""
        begin = self._at
        if not self._take("(?") or self._peek() in {":", "P", "<"}:
            self._at = begin
            return None
        changed = self._flags(flags, begin)
        if self._take(")"):
            return changed
        self._at = begin
        return None

    def _flags(self, flags: _Flags, begin: int) -> _Flags:
        on = True
        while self._peek() not in {"", ")", ":"}:
            letter = self._next()
            name = {"i": "fold", "m": "lines", "s": "all"}.get(letter)
            if letter == "-" and on:
                on = False
            elif name is not None:
                flags = replace(flags, **{name: on})
            else:
                help_ = "use (?:…), (?P<name>…) or the flags i, m, s; lookahead and lookbehind are not supported"
                raise self._error(f"`(?{letter}` is not a group in RE2", help_, begin)
        if self._text[self._at - 1] in "?-":
            raise self._error("flags are missing", "write (?i), (?m) or (?s)", begin)
        return flags

    def _group(self, flags: _Flags, begin: int) -> tuple[Node, int]:
        if self._take("?"):
            if self._take("P<") or self._take("<"):
                self._group_name(begin)
            elif not self._take(":"):
                flags = self._flags(flags, begin)
                self._take(":")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(f"groups are nested more than {_DEEPEST} deep", "split the pattern", begin)
        found = self._choices(flags)
        self._depth -= 1
        if not self._take(")"):
            self._at = begin + 1
            raise self._error("this group is not closed", "add `)`, or write \\( for the character", begin)
        return found

    def _group_name(self, begin: int) -> None:
        start = self._at
        while self._peek() and self._peek() in string.ascii_letters + string.digits + "_":
            self._at += 1
        name = self._text[start : self._at]
        if not name or not self._take(">"):
            raise self._error("a group's name has letters, digits and _", "write (?P<name>…) or (…)", begin)
        if name in self._names:
            raise self._error(f"two groups are named `{name}`", "`matches` does not need names: write (…)", begin)
        self._names.add(name)

    # --- sets and escapes ---

    def _set(self, flags: _Flags, begin: int) -> Chars:
        negated = self._take("^")
        found: list[tuple[int, int]] = []
        first = True
        while first or not self._take("]"):
            if not self._peek():
                self._at = begin + 1
                raise self._error("this set is not closed", "add `]`, or write \\[ for the character", begin)
            found += self._item(flags)
            first = False
        return Chars(without(found) if negated else united(found))

    def _item(self, flags: _Flags) -> Ranges:
        begin = self._at
        if self._take("[:"):
            return self._posix(flags, begin)
        if self._peek() == "\\" and self._text[self._at + 1 : self._at + 2].lower() in {"d", "s", "w", "p"}:
            self._at += 1
            return self._escaped(flags, begin)
        low = self._member(begin)
        high = low
        if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in {"]", ""}:
            self._at += 1
            high = self._member(begin)
        if high < low:
            raise self._error("the range is backwards", "write the smaller character first", begin)
        if flags.fold and high > 0x7F:
            raise self._no_fold(begin)
        return folded([(low, high)]) if flags.fold else ((low, high),)

    def _member(self, begin: int) -> int:
        char = self._next()
        return self._code(begin) if char == "\\" else ord(char)

    def _posix(self, flags: _Flags, begin: int) -> Ranges:
        end = self._text.find(":]", self._at)
        name = self._text[self._at : end] if end >= 0 else ""
        negated, name = name.startswith("^"), name.removeprefix("^")
        if name not in _POSIX:
            self._at = end + 2 if end >= 0 else self._at
            help_ = f"there are {', '.join(_POSIX)}; write \\[ for the character"
            raise self._error("unknown character class", help_, begin)
        self._at = end + 2
        return _class(_POSIX[name], flags, negated)

    def _escaped(self, flags: _Flags, begin: int) -> Ranges:
        """The characters that the escape stands for, whose backslash is taken."""
        letter = self._peek()
        if letter and letter.lower() in _PERL:
            self._at += 1
            return _class(_PERL[letter.lower()], flags, letter.isupper())
        if letter and letter in "pP":
            return self._unicode(flags, begin)
        return self._letter(self._code(begin), flags, begin)

    def _unicode(self, flags: _Flags, begin: int) -> Ranges:
        negated = self._next() == "P"
        name = self._next()
        if name == "{":
            end = self._text.find("}", self._at)
            name = self._text[self._at : end] if end >= 0 else ""
            self._at = max(end + 1, self._at)
        negated, name = negated != name.startswith("^"), name.removeprefix("^")
        found = unicode_class(name, fold=flags.fold) if name and set(name) <= _NAME else None
        if found is None:
            help_ = "name a category, such as \\pL or \\p{Nd}, or a script, such as \\p{Greek}; \\P negates it"
            raise self._error("unknown Unicode class", help_, begin)
        return without(found) if negated else found

    def _code(self, begin: int) -> int:
        """The one character that the escape stands for, whose backslash is taken."""
        letter = self._next()
        if letter == "x":
            return self._hexadecimal(begin)
        if letter in _CONTROLS and letter:
            return _CONTROLS[letter]
        if letter and letter in string.punctuation and letter != "_":
            return ord(letter)
        if letter and letter in "pP":
            raise self._error("a character class cannot end a range", "put it next to the range: [a-z\\pN]", begin)
        if letter == "0" or (letter and letter in "1234567" and self._peek() and self._peek() in string.octdigits):
            return self._octal(letter)
        if letter and letter in string.digits:
            help_ = "back-references cannot be matched in linear time; write \\x00 for a byte of that number"
            raise self._error(f"`\\{letter}` is not an escape", help_, begin)
        raise self._error(f"`\\{letter}` is not an escape" if letter else "a lone `\\`", _ESCAPES, begin)

    def _octal(self, digits: str) -> int:
        while len(digits) < 3 and self._peek() and self._peek() in string.octdigits:
            digits += self._next()
        return int(digits, 8)

    def _hexadecimal(self, begin: int) -> int:
        if self._take("{"):
            end = self._text.find("}", self._at)
            digits = self._text[self._at : end] if end >= 0 else ""
            self._at = max(end + 1, self._at)
        else:
            digits = self._text[self._at : self._at + 2]
            self._at += len(digits)
            digits = digits if len(digits) == 2 else ""
        code = int(digits, 16) if digits and all(it in string.hexdigits for it in digits) else GREATEST + 1
        if code > GREATEST:
            raise self._error("not a character's hexadecimal number", "write \\xHH or \\x{H…}, up to 10FFFF", begin)
        return code


def _class(ranges: Ranges, flags: _Flags, negated: bool) -> Ranges:
    ranges = folded(ranges) if flags.fold else ranges
    return without(ranges) if negated else ranges
