"""Colours elements on the site by the grammar that editors have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

from pygments.lexer import RegexLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Text

__all__ = ["AppNetLexer"]

_EDITORS = Path(__file__).parents[2] / "editors" / "vscode" / "syntaxes" / "appnet.tmLanguage.json"
_GRAMMAR = json.loads(_EDITORS.read_text(encoding="utf-8"))
_TOKENS = {
    "comment": Comment,
    "string": String,
    "section": Keyword.Declaration,
    "decorator": Name.Decorator,
    "control": Keyword,
    "operator": Operator.Word,
    "constant": Keyword.Constant,
    "option": Keyword.Constant,
    "code": Name.Constant,
    "type": Keyword.Type,
    "function": Name.Builtin,
    "number": Number,
    "sign": Operator,
}


def _rule(name: str) -> tuple[str, Any]:
    strings = r"'(?:\\.|[^'\\\n])*'|" + r'"(?:\\.|[^"\\\n])*"'
    return _GRAMMAR["repository"][name].get("match", strings), _TOKENS[name]


class AppNetLexer(RegexLexer):
    """Colours elements by the grammar that editors have."""

    name = "AppNet"
    aliases: ClassVar[list[str]] = ["appnet"]
    flags = re.MULTILINE
    tokens: ClassVar[dict[str, Any]] = {
        "root": [
            *(_rule(it["include"].removeprefix("#")) for it in _GRAMMAR["patterns"]),
            (r"\w+|\s+|.", Text),
        ]
    }
