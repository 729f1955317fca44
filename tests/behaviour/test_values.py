"""Values as behaviour files write them: what is read from YAML, from a dump, and what is shown."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from appnet.behaviour.values import WrongValue, from_dump, from_yaml
from appnet.interpret.dump import value_text
from appnet.interpret.shown import CLOCK_START_NS, shown
from appnet.language.types import BOOL, BYTES, FLOAT, INSTANT, INT, STRING, UINT, MapType, PairType, Type, VecType

_SCALARS = {
    BOOL: st.booleans(),
    INT: st.integers(-(2**63), 2**63 - 1),
    UINT: st.integers(0, 2**64 - 1),
    FLOAT: st.floats(allow_nan=False),
    STRING: st.text().map(str.encode),
    BYTES: st.text().map(str.encode),
}


@st.composite
def typed(draw: st.DrawFn, depth: int = 2) -> tuple[Type, object]:
    kind = draw(st.sampled_from(["scalar", "pair", "vec", "map"] if depth else ["scalar"]))
    if kind == "scalar":
        type_ = draw(st.sampled_from(list(_SCALARS)))
        return type_, draw(_SCALARS[type_])
    item, value = draw(typed(depth - 1))
    if kind == "vec":
        return VecType(item), [value] * draw(st.integers(0, 3))
    other, second = draw(typed(0))
    if kind == "pair":
        return PairType(other, item), (second, value)
    return MapType(other, item), {second: value} if draw(st.booleans()) else {}


@given(typed())
def test_a_value_comes_back_from_its_dump_and_from_what_is_shown(value: tuple[Type, object]) -> None:
    type_, given_value = value
    assert from_dump(value_text(given_value, type_), type_) == given_value
    assert from_yaml(yaml.compose(shown(given_value, type_), Loader=yaml.SafeLoader), type_) == given_value


def read(text: str, type_: Type) -> object:
    return from_yaml(yaml.compose(text, Loader=yaml.SafeLoader), type_)


def test_instants_count_from_the_start_of_the_case() -> None:
    assert read("1.5", INSTANT) == CLOCK_START_NS + 1_500_000_000
    assert shown(CLOCK_START_NS + 1_500_000_000, INSTANT) == "1.5"


def test_whatever_yaml_takes_a_text_for_it_is_text() -> None:
    assert read("007", STRING) == b"007"
    assert math.isinf(read(".inf", FLOAT))


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("1.5", INT), ("-1", UINT), ("18446744073709551616", UINT), ("yes please", BOOL), ("1", BOOL), ("true", INT),
        ("a", FLOAT), ("[1]", PairType(INT, INT)), ("1", VecType(INT)), ("[a]", VecType(INT)), ("[1]", MapType(INT, INT)),
        ("{}", STRING),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(text: str, type_: Type) -> None:
    with pytest.raises(WrongValue):
        read(text, type_)
