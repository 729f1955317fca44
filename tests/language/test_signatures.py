import pytest

from appnet.language.operations.registry import OPERATIONS
from appnet.language.operations.signature import signature_of
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    STRING,
    UINT,
    UNIT,
    MapType,
    OptionType,
    PairType,
    Type,
    VecType,
)

NAMES = MapType(STRING, INT)


@pytest.mark.parametrize(
    ("operation", "arguments", "result"),
    [
        ("add", (INT, INT), INT),
        ("add", (FLOAT, FLOAT), FLOAT),
        ("concat", (BYTES, BYTES), BYTES),
        ("eq", (INSTANT, INSTANT), BOOL),
        ("to_float", (UINT,), FLOAT),
        ("map_get", (NAMES, STRING), OptionType(INT)),
        ("map_set", (MapType(UINT, VecType(INT)), UINT, VecType(INT)), UNIT),
        ("vec_new", (), VecType(PairType(INT, FLOAT))),
        ("pair", (INT, VecType(INT)), PairType(INT, VecType(INT))),
        ("second", (PairType(INT, FLOAT),), FLOAT),
        ("get_load", (INT,), PairType(INT, INSTANT)),
        ("decrypt", (STRING, STRING), OptionType(STRING)),
    ],
)
def test_operands_that_fit(operation: str, arguments: tuple[Type, ...], result: Type):
    assert signature_of(OPERATIONS[operation]).accepts(arguments, result)


@pytest.mark.parametrize(
    ("operation", "arguments", "result"),
    [
        ("add", (INT, FLOAT), FLOAT),
        ("add", (INT, INT), UINT),
        ("add", (STRING, STRING), STRING),
        ("add", (INT,), INT),
        ("concat", (STRING, BYTES), STRING),
        ("eq", (NAMES, NAMES), BOOL),
        ("lt", (INT, INT), INT),
        ("to_float", (FLOAT,), FLOAT),
        ("map_get", (NAMES, INT), OptionType(INT)),
        ("map_get", (NAMES, STRING), INT),
        ("vec_get", (NAMES, INT), OptionType(INT)),
        ("vec_new", (), NAMES),
        ("first", (PairType(INT, FLOAT),), FLOAT),
        ("get_load", (INT,), PairType(INT, INT)),
    ],
)
def test_operands_that_do_not_fit(operation: str, arguments: tuple[Type, ...], result: Type):
    assert not signature_of(OPERATIONS[operation]).accepts(arguments, result)
