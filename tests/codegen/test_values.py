"""Operations in C under sanitizers, with the interpreter beside them: any values, and the corners."""

import base64
import itertools
import math
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appnet.interpret.compression import compress
from appnet.interpret.values import default_value
from appnet.ir.nodes import (
    Arm,
    Atom,
    Block,
    Const,
    Element,
    Let,
    Local,
    Match,
    ReadField,
    Route,
    SetState,
    SomePattern,
    State,
    Statement,
    WriteField,
)
from appnet.language.operations.declaration import OF_DEADLINES, OF_METADATA, Effect
from appnet.language.operations.registry import OPERATIONS
from appnet.language.operations.signature import LETTERS, NAMED, Shape, signature_of
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    STRING,
    UINT,
    MapType,
    OptionType,
    PairType,
    Type,
    VecType,
)
from tests.codegen.values.driver import Driver, Refused, signature
from tests.support.match_action import FORWARD, do, element, let, number

KINDS: dict[str, tuple[Type, str]] = {
    "i": (INT, "int64"), "j": (INT, "sint64"), "u": (UINT, "uint64"), "w": (UINT, "fixed64"), "f": (FLOAT, "double"),
    "g": (FLOAT, "double"), "s": (STRING, "string"), "t": (STRING, "string"), "b": (BYTES, "bytes"),
    "c": (BYTES, "bytes"), "y": (BOOL, "bool"), "z": (BOOL, "bool"),
    "i32": (INT, "int32"), "s32": (INT, "sfixed32"), "e": (INT, "enum"), "u32": (UINT, "uint32"), "f32": (FLOAT, "float"),
}  # fmt: skip
METHOD = signature(**KINDS)
NUMBERS = {INT: ("i", "j"), UINT: ("u", "w"), FLOAT: ("f", "g")}
SCALARS = NUMBERS | {STRING: ("s", "t"), BYTES: ("b", "c"), BOOL: ("y", "z")}

INTS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.integers(-3, 80)
    | st.sampled_from([0, 1, -1, -(2**63), 2**63 - 1, 2**31, -(2**31) - 1])
)
UINTS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63, 2**64 - 1, 2**32])
# Every NaN is the quiet one: what arithmetic makes of other NaNs is the processor's own.
FLOATS = st.floats().map(lambda value: math.nan if math.isnan(value) else value) | st.sampled_from(
    [0.0, -0.0, 1e15, -1e15, 999999999999999.9, 0.5e-6, 1.5e-6, 2.5e-6, 2.0**63, -(2.0**63), 2.0**64, 5e-324, 0.1]
)
DECIMALS = st.from_regex(rb"[+-]?[0-9]{0,25}(\.[0-9]{0,25})?", fullmatch=True)
TEXTS = st.binary(max_size=70) | DECIMALS | st.sampled_from([b"", b"0", b"-0", b"-0.0", b"ab" * 40, b"9" * 30, b"\0"])
VALUES = {INT: INTS, UINT: UINTS, FLOAT: FLOATS, STRING: TEXTS, BYTES: TEXTS, BOOL: st.booleans()}


_OF_LETTERS = {"N": (INT, UINT, FLOAT), "I": (INT, UINT), "S": (STRING, BYTES), "C": tuple(SCALARS)}
_ELSEWHERE = Effect.TIME | Effect.READS_BACKENDS | OF_METADATA | OF_DEADLINES | Effect.READS_STATUS


def _operations() -> Iterator[tuple[str, tuple[Type, ...], Type]]:
    """All operations on values of fields, on each of their types."""
    for name, operation in OPERATIONS.items():
        signature = signature_of(operation)
        letters = sorted({it for shape in (*signature.parameters, signature.result) for it in _letters(shape)})
        if name == "matches" or operation.effects & _ELSEWHERE or not set(letters) <= _OF_LETTERS.keys():
            continue
        for types in itertools.product(*(_OF_LETTERS[letter] for letter in letters)):
            chosen = dict(zip(letters, types, strict=True))
            for parameters in itertools.product(*(_types(shape, chosen) for shape in signature.parameters)):
                if all(_is_operand(it) for it in parameters):
                    yield name, parameters, _types(signature.result, chosen)[0]


def _letters(shape: Shape) -> Iterator[str]:
    if shape.head in LETTERS:
        yield shape.head
    for part in shape.parts:
        yield from _letters(part)


def _types(shape: Shape, chosen: dict[str, Type]) -> tuple[Type, ...]:
    """The types that a shape allows."""
    if shape.head == "|":
        return tuple(type_ for part in shape.parts for type_ in _types(part, chosen))
    parts = [_types(part, chosen)[0] for part in shape.parts]
    made = {"Vec": VecType, "Option": OptionType, "Map": MapType, "pair": PairType}
    if shape.head in made:
        return (made[shape.head](*parts),)
    return (chosen[shape.head] if shape.head in chosen else NAMED[shape.head],)


def _is_operand(type_: Type) -> bool:
    return type_ in SCALARS or (isinstance(type_, VecType) and type_.item in (STRING, BYTES))


PATTERNS = (b"", b"^[0-9]+$", b"(?i)B.?A|\\bab", b"^[^a]{1,9}$", "é|\x00".encode())
CASES = list(_operations())


def _calculator() -> Element:
    """Puts the result of every operation on the fields of its request into a variable of its own."""
    state: dict[str, Type] = {}
    body: list[Statement] = [Let(Local(path, type_), ReadField(path, type_)) for path, (type_, _) in KINDS.items()]
    for type_ in (STRING, BYTES):
        body += _made_vec(type_)
    for index, (op, parameters, result) in enumerate(CASES):
        names: dict[Type, int] = {}
        operands: list[Atom] = []
        for type_ in parameters:
            fields = SCALARS.get(type_) or (f"many_{type_.item}",)
            operands.append(Local(fields[names.get(type_, 0) % len(fields)], type_))
            names[type_] = names.get(type_, 0) + 1
        kept = result.item if isinstance(result, OptionType) else result
        state[f"{index}_{op}"] = kept
        body += [let(f"r{index}", op, *operands, type=result), *_keep(f"{index}_{op}", Local(f"r{index}", result))]
    for index, pattern in enumerate(PATTERNS):
        state[f"matches_{index}"] = BOOL
        body += [
            let(f"m{index}", "matches", Local("s", STRING), Const(pattern, STRING), type=BOOL),
            SetState(State(f"matches_{index}", BOOL), Local(f"m{index}", BOOL)),
        ]
    return element("calculator", state, req=(*body, *FORWARD))


def _made_vec(type_: Type) -> list[Statement]:
    """A Vec of both fields of the type, and of one of them again."""
    many = Local(f"many_{type_}", VecType(type_))
    first, second = (Local(name, type_) for name in SCALARS[type_])
    return [let(many.name, "vec_new", type=many.type), *(do("vec_append", many, it) for it in (first, second, first))]


def _keep(variable: str, value: Local) -> list[Statement]:
    """Stores the value; of an option its item, or else a default."""
    if not isinstance(value.type, OptionType):
        return [SetState(State(variable, value.type), value)]
    state, found = State(variable, value.type.item), Local(f"of_{value.name}", value.type.item)
    none = Const(default_value(value.type.item), value.type.item)
    return [
        SetState(state, none),
        Match(value, (Arm(SomePattern(found), Block((SetState(state, found),))),)),
    ]


@pytest.fixture(scope="module")
def calculator() -> Iterator[Driver]:
    with Driver([_calculator()], METHOD, seed=7) as driver:
        yield driver


MESSAGES = st.fixed_dictionaries({path: VALUES[type_] for path, (type_, _) in list(KINDS.items())[:12]})


@settings(max_examples=400)
@given(message=MESSAGES, alike=st.booleans(), start=st.integers(0, 3))
def test_every_operation_on_scalars_agrees(
    calculator: Driver, message: dict[str, object], alike: bool, start: int
) -> None:
    if alike:  # operands that are equal, or parts of one another, are rare among random ones
        message |= {
            "j": message["i"],
            "w": message["u"],
            "g": message["f"],
            "t": message["s"][start : start + 3],
            "c": message["b"][start : start + 3],
        }  # type: ignore[index]
    call = calculator.begin()
    calculator.request(call, message)
    calculator.end(call)
    calculator.check_state()


@settings(max_examples=300)
@given(value=FLOATS)
def test_floats_read_as_the_interpreter_writes_them(calculator: Driver, value: float) -> None:
    call = calculator.begin()
    calculator.request(call, {"f": value, "s": b"%.17g" % value})
    calculator.end(call)
    calculator.check_state()


# --- fields ------------------------------------------------------------------------------------


def _narrowing() -> Element:
    """Writes wide values into the narrow fields, and reads them back."""
    body: list[Statement] = []
    state: dict[str, Type] = {}
    for target, source in (("i32", "i"), ("s32", "i"), ("e", "j"), ("u32", "u"), ("f32", "f"), ("t", "s"), ("z", "y")):
        type_ = KINDS[source][0]
        state[target] = type_
        body += [Let(Local(source, type_), ReadField(source, type_)), WriteField(target, Local(source, type_))]
        body += [
            Let(Local(f"{target}2", type_), ReadField(target, type_)),
            SetState(State(target, type_), Local(f"{target}2", type_)),
        ]
    return element("narrowing", state, req=(*body, *FORWARD), resp=(*body, *FORWARD))


@pytest.fixture(scope="module")
def narrowing() -> Iterator[Driver]:
    with Driver([_narrowing()], METHOD) as driver:
        yield driver


@settings(max_examples=150)
@given(message=MESSAGES, answer=MESSAGES, status=st.sampled_from([0, 0, 5]))
def test_fields_of_32_bits_keep_32_bits(
    narrowing: Driver, message: dict[str, object], answer: dict[str, object], status: int
) -> None:
    call = narrowing.begin()
    narrowing.request(call, message)
    narrowing.check_state()
    narrowing.response(call, answer, status=status)
    narrowing.end(call)
    narrowing.check_state()


# --- time, backends, decryption -------------------------------------------------------------------


def _kept(name: str, op: str, *args: Atom, type_: Type) -> tuple[Statement, ...]:
    """The operation's result, in a local and in the state of that name."""
    return let(name, op, *args, type=type_), SetState(State(name, type_), Local(name, type_))


def _kept_if_some(name: str, op: str, *args: Atom, type_: Type) -> tuple[Statement, ...]:
    """What the operation finds, in the state of that name; where it finds nothing, the word none."""
    option, found, state = OptionType(type_), Local(f"of_{name}", type_), State(name, type_)
    return (
        let(f"maybe_{name}", op, *args, type=option),
        SetState(state, Const(b"none", type_)),
        Match(Local(f"maybe_{name}", option), (Arm(SomePattern(found), Block((SetState(state, found),))),)),
    )


def _surroundings() -> Element:
    floats, hosts, load = VecType(FLOAT), VecType(INT), PairType(INT, INSTANT)
    state = {
        "before": INSTANT,
        "passed": FLOAT,
        "seconds": FLOAT,
        "wall": FLOAT,
        "load": load,
        "loads": floats,
        "q": FLOAT,
        "plain": STRING,
        "hosts": hosts,
        "chosen": hosts,
        "status": INT,
        "text": STRING,
        "frame": BYTES,
    }
    now, i, f, g, s, t, b = (
        Local(name, type_)
        for name, type_ in [("now", INSTANT), *((name, KINDS[name][0]) for name in ("i", "f", "g", "s", "t", "b"))]
    )
    body = (
        *(Let(it, ReadField(it.name, it.type)) for it in (i, f, g, s, t, b)),
        let("now", "now", type=INSTANT),
        *_kept("passed", "time_diff", State("before", INSTANT), now, type_=FLOAT),
        *_kept("seconds", "instant_to_float", now, type_=FLOAT),
        SetState(State("before", INSTANT), now),
        *_kept("wall", "wall_time", type_=FLOAT),
        *_kept("load", "get_load", i, type_=load),
        *_kept("hosts", "get_backends", type_=hosts),
        *_kept("chosen", "random_choices", Local("hosts", hosts), i, type_=hosts),
        *_kept("loads", "estimate_rif", Local("chosen", hosts), type_=floats),
        do("vec_append", Local("loads", floats), f),
        do("vec_append", Local("loads", floats), number(-0.0)),
        *_kept("q", "quantile", Local("loads", floats), g, type_=FLOAT),
        let("dst", "int_to_string", i, type=STRING),
        Route(Local("dst", STRING)),
        *_kept_if_some("plain", "decrypt", s, t, type_=STRING),
        *_kept_if_some("text", "decompress", s, type_=STRING),
        *_kept_if_some("frame", "decompress", b, type_=BYTES),
    )
    return element("surroundings", state, req=(*body, *FORWARD), resp=(*_kept("status", "status", type_=INT), *FORWARD))


@pytest.fixture(scope="module")
def surroundings() -> Iterator[Driver]:
    with Driver([_surroundings()], METHOD, seed=3, backends=5) as driver:
        yield driver


@settings(max_examples=150)
@given(
    now=st.integers(0, 2**63 - 1),
    host=st.integers(-1, 6),
    f=FLOATS,
    g=FLOATS | st.floats(0, 1),
    status=st.integers(0, 16),
)
def test_time_and_backends_agree(surroundings: Driver, now: int, host: int, f: float, g: float, status: int) -> None:
    surroundings.set_clock(now)
    call = surroundings.begin()
    surroundings.request(call, {"i": host, "f": f, "g": g}, {"dst": b"0"})
    surroundings.check_state()
    if status < 8:
        surroundings.response(call, {}, status=status)
    surroundings.end(call)
    surroundings.check_state()


@settings(max_examples=100)
@given(text=st.binary(max_size=200), key=st.binary(max_size=100), flip=st.integers(0, 400))
def test_what_was_encrypted_is_decrypted_unless_it_was_touched(
    calculator: Driver, surroundings: Driver, text: bytes, key: bytes, flip: int
) -> None:
    call = calculator.begin()
    calculator.request(call, {"s": text, "t": key})
    calculator.end(call)
    lines = [line for line in calculator.check_state().splitlines() if "_encrypt " in line]
    secret = bytes.fromhex(lines[0].split('"')[1])
    touched = bytearray(secret)
    touched[flip % len(secret)] ^= 1 << flip % 7
    for given_text, plain in ((secret, text), (bytes(touched), b"none"), (secret[:-1], b"none"), (text, b"none")):
        call = surroundings.begin()
        surroundings.request(call, {"s": given_text, "t": key})
        surroundings.end(call)
        assert f'surroundings.plain = "{plain.hex()}"' in surroundings.check_state()


CONTENTS = st.binary(max_size=300) | st.text("ab", max_size=400).map(str.encode)


@settings(max_examples=200)
@given(content=CONTENTS, times=st.sampled_from((1, 1, 3, 700)), data=st.data())
def test_what_was_compressed_is_decompressed_unless_it_was_touched(
    calculator: Driver, surroundings: Driver, content: bytes, times: int, data: st.DataObject
) -> None:
    content *= times
    call = calculator.begin()
    calculator.request(call, {"s": content, "b": content})
    calculator.end(call)
    calculator.check_state()
    frame = compress(content)
    touched = bytearray(frame)
    for at in data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=3)):
        touched[at] ^= data.draw(st.integers(1, 255))
    cut = frame[: data.draw(st.integers(0, len(frame)))]
    for given_frame in (frame, bytes(touched), cut, frame + cut):
        call = surroundings.begin()
        surroundings.request(call, {"s": base64.b64encode(given_frame), "b": given_frame})
        surroundings.end(call)
        plain = (content if given_frame == frame else b"none").hex()
        state = surroundings.check_state()
        assert f'surroundings.frame = "{plain}"' in state
        assert f'surroundings.text = "{plain}"' in state


def test_nan_has_one_form_in_dumps(calculator: Driver) -> None:
    call = calculator.begin()
    calculator.request(call, {"f": -struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000123))[0], "g": 1.0})
    calculator.end(call)
    assert "7ff8000000000000" in calculator.dump()


def test_a_text_that_would_fill_the_memory_refuses_the_message() -> None:
    body = (
        Let(Local("s", STRING), ReadField("s", STRING)),
        let("more", "replace", Local("s", STRING), Const(b"a", STRING), Local("s", STRING), type=STRING),
        WriteField("t", Local("more", STRING)),
    )
    with Driver([element("doubling", {}, req=(*body, *FORWARD))], METHOD) as driver:
        for size, refused in ((8_192, False), (8_193, True)):
            call = driver.begin()
            outcome = driver.request(call, {"s": b"a" * size})
            assert (outcome == Refused(8, b"out of memory in doubling")) == refused
            driver.end(call)


def test_an_init_that_would_fill_the_memory_refuses_all_messages() -> None:
    text = Const(b"a" * 9_000, STRING)
    init = (
        let("more", "replace", text, Const(b"a", STRING), text, type=STRING),
        SetState(State("kept", STRING), Local("more", STRING)),
    )
    with Driver([element("large", {"kept": STRING}, init=init)], METHOD) as driver:
        call = driver.begin()
        assert driver.request(call, {}) == Refused(8, b"out of memory in init")
        driver.end(call)


def test_no_allocation_is_taken_for_granted() -> None:
    """Whichever fails first, of an instance's or of a call's: there is none, it is refused, or it can do without."""
    started = [_survives(fail_at) for fail_at in range(1, 50)]
    assert not started[0]
    assert started[-1]
    with Driver([_surroundings()], METHOD) as driver:
        answers = {_answer_where_memory_ends(driver, nth) for nth in range(1, 25)}
    assert answers == {"no memory", "R 8", "F"}


def _survives(fail_at: int) -> bool:
    with Driver([_surroundings()], METHOD, fail_at=fail_at) as driver:
        return driver.ready


def _answer_where_memory_ends(driver: Driver, nth: int) -> str:
    driver.send(f"fail {nth}")
    number = driver.send("call")
    if number.startswith("no memory"):
        driver.send("fail 0")
        return "no memory"
    text = "61" * 3000
    answer = driver.send(f"req {number} 3={text} 4={text}")
    driver.send("fail 0")
    driver.send(f"free {number}")
    return "R 8" if answer.startswith("R 8 ") else answer[:1]
