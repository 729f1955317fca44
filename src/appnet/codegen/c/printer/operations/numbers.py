"""Arithmetic, comparison and logic."""

from __future__ import annotations

from appnet.codegen.c.printer.operations.family import Body, Family, Value
from appnet.codegen.c.printer.text import literal
from appnet.codegen.c.printer.types import TEXTS
from appnet.ir.nodes import Atom, Call, Const
from appnet.language.types import BOOL, FLOAT, INT, UINT, Type

FAMILY = Family(
    {
        "and": "{0} && {1}",
        "or": "{0} || {1}",
        "not": "!{0}",
    }
)

_BY_TYPE: dict[str, dict[Type, str]] = {
    "add": {INT: "an_int_add({0}, {1})", UINT: "{0} + {1}", FLOAT: "{0} + {1}"},
    "sub": {INT: "an_int_sub({0}, {1})", UINT: "{0} - {1}", FLOAT: "{0} - {1}"},
    "mul": {INT: "an_int_mul({0}, {1})", UINT: "{0} * {1}", FLOAT: "{0} * {1}"},
    "div": {INT: "an_int_div({0}, {1})", UINT: "an_uint_div({0}, {1})", FLOAT: "an_float_div({0}, {1})"},
    "rem": {INT: "an_int_rem({0}, {1})", UINT: "an_uint_rem({0}, {1})"},
    "neg": {INT: "an_int_neg({0})", UINT: "0 - {0}", FLOAT: "-({0})"},
    "min": {INT: "an_int_min({0}, {1})", UINT: "an_uint_min({0}, {1})", FLOAT: "an_float_min({0}, {1})"},
    "max": {INT: "an_int_max({0}, {1})", UINT: "an_uint_max({0}, {1})", FLOAT: "an_float_max({0}, {1})"},
    "abs": {INT: "an_int_abs({0})", UINT: "{0}", FLOAT: "__builtin_fabs({0})"},
    "to_int": {FLOAT: "an_float_to_int({0})", UINT: "(int64_t){0}"},
    "to_uint": {FLOAT: "an_float_to_uint({0})", INT: "(uint64_t){0}"},
}


def _by_type(op: str) -> Value:
    def function(body: Body, call: Call) -> str:
        return _BY_TYPE[op][call.args[0].type].format(*map(body.atom, call.args))

    return function


FAMILY.values.update({op: _by_type(op) for op in _BY_TYPE})


_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def _comparison(op: str) -> Value:
    def function(body: Body, call: Call) -> str:
        a, b = call.args
        if a.type not in TEXTS:
            return _compare_scalars(op, a.type, body.atom(a), body.atom(b))
        if op in {"eq", "ne"}:
            return ("" if op == "eq" else "!") + same_text(body, a, b)
        return f"an_compare({body.atom(a)}, {body.atom(b)}) {_COMPARISONS[op]} 0"

    return function


FAMILY.values.update({op: _comparison(op) for op in _COMPARISONS})


def _compare_scalars(op: str, type_: Type, a: str, b: str) -> str:
    if a == b:  # which compilers take for a mistake
        equal = f"!__builtin_isnan({a})" if type_ == FLOAT else f"((void){a}, true)"
        unequal = f"__builtin_isnan({a}) != 0" if type_ == FLOAT else f"((void){a}, false)"
        return {"eq": equal, "le": equal, "ge": equal, "ne": unequal}.get(op, f"((void){a}, false)")
    cast = "(int)" if type_ == BOOL else ""
    return f"{cast}{a} {_COMPARISONS[op]} {cast}{b}"


def same_text(body: Body, a: Atom, b: Atom) -> str:
    """Whether two strings are equal; by length and bytes at once where one is constant."""
    if isinstance(a, Const):
        a, b = b, a
    if isinstance(b, Const) and not isinstance(a, Const):
        assert isinstance(b.value, bytes)
        return f"AN_IS({body.atom(a)}, {literal(b.value)})"
    return f"an_equal({body.atom(a)}, {body.atom(b)})"
