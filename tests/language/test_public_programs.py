"""What the programs of the public AppNet are made of, in both its syntaxes, and what becomes of it here.

The programs are ours; each uses the constructs of the public ones that its row names. The outcome is no error, or the
code and line of each, with a remedy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

import pytest

from appnet.application.proto import load_proto
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import TextSource
from appnet.interpret import ChainInstance, Environment, Forwarded, Rpc
from appnet.interpret.values import Value
from appnet.ir.compile import CompiledElement, compile_program
from appnet.language import Given, check, parse
from appnet.language.formatter import format_program
from tests.support.signatures import KV

IT = Path("it.appnet")


@dataclass(frozen=True)
class Row:
    """``state``, ``init``, ``req`` and ``resp`` are what stands in the blocks; ``told``: codes and lines of errors."""

    name: str
    state: str = ""
    init: str = ""
    req: str = "send(rpc, NET);"
    resp: str = "send(rpc, APP);"
    parameters: str = ""
    told: tuple[tuple[str, int], ...] = ()


def older(row: Row) -> str:
    """The row as a program whose blocks begin in lines 1, 11, 21 and 41."""
    blocks = (("internal", row.state, 10), (f"fn init({row.parameters})", row.init, 10))
    blocks += (("fn req(rpc)", row.req, 20), ("fn resp(rpc)", row.resp, 0))
    text = ""
    for head, body, lines in blocks:
        block = f"{head} {{\n{indent(body, chr(9))}\n}}\n"
        text += block + "\n" * (lines - block.count("\n"))
    return text


OLDER = (
    Row("null: empty blocks"),
    Row("mutation: a field through a local", req="x := rpc.get('key');\nrpc.set('key', x);\nsend(rpc, NET);"),
    Row(
        "logging: a Vec that is appended to",
        state="record: Vec<string>",
        req="record.set(record.size(), rpc.get('key'));\nsend(rpc, NET);",
    ),
    Row(
        "metrics: a Map keyed by rpc_id, time_diff",
        state="began: Map<uint, Instant>\n  took: Vec<float>",
        req="began.set(rpc_id(), current_time());\nsend(rpc, NET);",
        resp="match(began.get(rpc_id())) {\n  Some(t) => {\n    took.set(took.size(), time_diff(current_time(), t));\n"
        "  }\n  None => {\n  }\n};\nsend(rpc, APP);",
    ),
    Row(
        "fault: a constant in the state, randomf",
        state="share: float",
        init="share := 0.9;",
        req="match(randomf(0,1) < share) {\n true => {\n  send(rpc, NET);\n }\n false => {\n  send(err('fault'), APP);\n }\n};",
    ),
    Row(
        "acl: a match in a match, a path that drops",
        state="@consistency(strong) @combiner(LWW) @persistence(true)\nallowed: Map<string, string>",
        init="allowed.set('test', 'No');",
        req="match (allowed.get(rpc.get('key'))) {\n Some(p) => {\n  match (p) {\n   'Yes' => { send(rpc, NET); }\n"
        "   'No' => { send(err('acl'), APP); }\n   _ => {\n   }\n  };\n }\n None => { send(rpc, NET); }\n};",
    ),
    Row(
        "cache: a local that is an option",
        state="@consistency(weak) @combiner(sum) @persistence(true)\nkept: Map<string, string>",
        req="res := kept.get(rpc.get('key'));\nmatch (res) {\n Some(name) => { send(err('200'), APP); }\n"
        " None => { kept.set(rpc.get('key'), 'cached'); send(rpc, NET); }\n};",
    ),
    Row(
        "lbsticky: an arm that only holds a comment, a verdict after the match",
        state="table: Map<string, string>",
        req="match (table.get(rpc.get('key'))) {\n Some(dst) => {\n  // do nothing\n }\n"
        " None => { table.set(rpc.get('key'), '1'); }\n};\nsend(rpc, NET);",
    ),
    Row(
        "encrypt: a password in the state",
        state="password: string",
        init="password := '123456';",
        req="sealed := encrypt(rpc.get('key'), password);\nrpc.set('key', sealed);\nsend(rpc, NET);",
    ),
    Row(
        "admission control: a parameter, meta_status",
        state="// how hard\nmultiplier: float\nsuccess: float\ntotal: float",
        parameters="multiplier",
        init="multiplier := 0.95;\nsuccess := 0.0;\ntotal := 0.0;",
        req="share := 1.0 - max(0, (total - (multiplier * success)) / (total + 1.0));\ntotal := total + 1.0;\n"
        "match(randomf(0,1) < share) {\n true => { send(rpc, NET); }\n false => { send(err('late'), APP); }\n};",
        resp="match(rpc.get('meta_status') == 'success') {\n true => { success := success + 1.0; send(rpc, APP); }\n"
        " false => { send(rpc, APP); }\n};",
    ),
    Row(
        "rate limit: Instants and min",
        state="last: Instant\nlimit: float\ntoken: float",
        init="last := current_time();\nlimit := 9.0;\ntoken := 9.0;",
        req="token := min(limit, token + (9.0 * time_diff(current_time(), last)));\nlast := current_time();\n"
        "match (token > 1.0) {\n true => { token := token - 1.0; send(rpc, NET); }\n"
        " false => { send(err('limit'), APP); }\n};",
    ),
    Row(
        "statements without their last semicolon",
        state="n: int",
        init="n := 0",
        req="match (n < 3) {\n true => { n := n + 1 send(rpc, NET) }\n}",
        told=(("E003", 23),),
    ),
    Row("circuit breaker: meta_response", resp="x := rpc.get('meta_response');\nsend(rpc, APP);"),
    Row("mutation of ping: a field of another message", req="rpc.set('body', 'x');\nsend(rpc, NET);", told=(("E014", 22),)),
    Row("acl of geo: text as the key of a Map of floats", state="a: Map<float, string>", init="a.set('0.0', 'No');", told=(("E020", 12),)),
    Row("lbsticky of reservation: text as an int", state="t: Map<string, int>", req="t.set('x', '1');\nsend(rpc, NET);", told=(("E020", 22),)),
    Row("bandwidth limit: the size of the RPC in a local", req="bw := rpc.byte_sizes();\nsend(rpc, NET);", told=(("E013", 22),)),
    Row("fault of echo: an error sent on", req="send(err('fault injected'), NET);", told=(("E030", 22),)),
)  # fmt: skip


def outcome(source: str, row: Row) -> tuple[tuple[str, int], ...]:
    try:
        check(
            parse(TextSource(IT, source)), KV, name="it", parameters=dict.fromkeys(row.parameters.split(), Given(1.0))
        )
    except DiagnosticError as error:
        return tuple((it.code, it.span.line) for it in error.diagnostics if it.help)
    return ()


@pytest.mark.parametrize("row", OLDER, ids=lambda row: row.name)
def test_the_older_syntax(row: Row) -> None:
    assert outcome(older(row), row) == row.told


@pytest.mark.parametrize("row", [row for row in OLDER if "E003" not in str(row.told)], ids=lambda row: row.name)
def test_upgraded_programs_have_the_same_errors(row: Row) -> None:
    upgraded = format_program(TextSource(IT, older(row)), upgrade=True)
    assert [code for code, _ in outcome(upgraded, row)] == [code for code, _ in row.told]


TODAY = (
    Row("null", req="send(rpc, Down)"),
    Row("logging", state="r: Vec<string>", req="set(r, size(r), get(rpc, 'key'))\nsend(rpc, Down)"),
    Row(
        "service router: pairs in a Map, inf, foreach with lambda, get_load",
        state="load_map: Map<int, <int, Instant>>\nepsilon: float",
        init="epsilon = 1.0",
        req="backends = random_choices(get_backends(0), 3)\nforeach(backends, lambda(b):\n    match get(load_map, b):\n"
        "        None =>\n            pass\n        Some(pair) =>\n            (load, ts) = pair\n"
        "            match(time_diff(current_time(), ts) > epsilon):\n                true =>\n"
        "                    set(load_map, b, get_load(b))\n                false =>\n                    pass\n)\n"
        "best = inf\nset(rpc, dst, 1)\nsend(rpc, Down)",
    ),
    Row(
        "a cache keyed by a header",
        state="c: Map<string, string>",
        req="match get(c, get_rpc_header(rpc, 'key')):\n    Some(v) =>\n        send(err('cached'), Up)\n"
        "    None =>\n        send(rpc, Down)",
    ),
    Row("a field with its type as third argument", req="x = get(rpc, 'key', 'string')\nsend(rpc, Down)"),
    Row("a field in another case", req="x = get(rpc, 'KEY')\nsend(rpc, Down)"),
    Row("tabs after spaces in one line", req="match 1:\n    \t1 => pass\nsend(rpc, Down)", told=(("E002", 22),)),
    Row("a request sent back", req="send(rpc, Up)", told=(("E030", 21),)),
    Row("the whole RPC as a value", req="x = rpc\nsend(rpc, Down)", told=(("E033", 21),)),
    Row("a function of a newer runtime", req="set_route_dst(1)\nsend(rpc, Down)", told=(("E013", 21),)),
    Row(
        "an option stored as if it were a value",
        state="c: Map<string, string>\nd: Map<string, string>",
        req="v = get(c, 'x')\nset(d, v, 'y')\nsend(rpc, Down)",
        told=(("E020", 22),),
    ),
    Row(
        "a pair taken from an option",
        state="c: Map<int, <int, float>>",
        req="(a, b) = get(c, 1)\nsend(rpc, Down)",
        told=(("E020", 21),),
    ),
    Row("floats kept as text", state="t: Vec<string>", req="set(t, size(t), 0.5)\nsend(rpc, Down)", told=(("E020", 21),)),
    Row("a word in the middle of an arrow", req="match 1:\n    1 =x>\n        pass\nsend(rpc, Down)", told=(("E003", 22),)),
    Row("a sketch: state without types", state="last_ts\nlimit", req="send(rpc, Down)", told=(("E003", 2), ("E003", 3))),
    Row("a sketch: a match without its colon", req="match (1 < 2)\n    true => pass\nsend(rpc, Down)", told=(("E003", 21),)),
    Row("a block that belongs to nothing", state="t: int\n    v: int", req="send(rpc, Down)", told=(("E003", 3),)),
    Row("braces after a colon", req="match(1) {\n}", told=(("E001", 21),)),
    Row("a parameter without a default", parameters="limit", req="send(rpc, Down)", told=(("E041", 11),)),
    Row("a local of init", init="n = 3", req="x = random_choices(get_backends(0), n)\nsend(rpc, Down)", told=(("E010", 21),)),
    Row("ciphertext set as a number", req="x = encrypt(get(rpc, 'key'), 'k')\nset(rpc, 'ratio', x)\nsend(rpc, Down)", told=(("E020", 22),)),
    Row("a load in the message", req="send(rpc, Down)", resp="set(rpc, 'load', 1)\nsend(rpc, Up)", told=(("E014", 42),)),
)  # fmt: skip


def today(row: Row) -> str:
    """The row as a program whose blocks begin in lines 1, 11, 20 and 41."""
    blocks = (("state:", row.state, 10), (f"init({row.parameters}):", row.init, 9))
    blocks += (("req(rpc):", row.req, 21), ("resp(rpc):", row.resp.replace(";", "").replace("APP", "Up"), 0))
    text = ""
    for head, body, lines in blocks:
        block = f"{head}\n{indent(body or 'pass', '    ')}\n"
        text += block + "\n" * (lines - block.count("\n"))
    return text


@pytest.mark.parametrize("row", TODAY, ids=lambda row: row.name)
def test_the_syntax_of_today(row: Row) -> None:
    given = Row(row.name) if row.told else row  # the parameters of rows that are told wrong are not given
    assert outcome(today(row), given) == row.told


# --- what they mean ---

ORDER = """
syntax = "proto3";
package shop;
service Orders { rpc Place(Order) returns (Receipt); rpc Cancel(Note) returns (Note); }
message Order { string customerName = 1; int32 item_count = 2; Where sentTo = 3; string user_id = 4; string userid = 5; }
message Where { string postCode = 1; }
message Receipt { int64 total = 1; }
message Note { string status = 1; string rpc_id = 2; }
"""


SHOP = load_proto(TextSource(Path("shop.proto"), ORDER))


def place(program: str, method: str = "Place", **parameters: str | float) -> CompiledElement:
    """The program as an element of a method of the shop; it may leave out state, `init` and `resp`."""
    text = dedent(program).lstrip()
    text = text if text.startswith("state") else f"state:\n    pass\n\ninit():\n    pass\n\n{text}"
    resp = "" if "resp(rpc):" in text else "\nresp(rpc):\n    send(rpc, Up)\n"
    given = {key: Given(value) for key, value in parameters.items()}
    return compile_program(parse(TextSource(IT, text + resp)), SHOP.method(method), name="it", parameters=given)


def run(element: CompiledElement, *statuses: int, method: str = "Place", **fields: Value) -> tuple[Rpc, ChainInstance]:
    """The last of some calls of these fields, whose answers have these statuses, and the chain after it."""
    chain = ChainInstance([element.element], Environment(lambda: 5_000_000_000))
    for status in statuses or (0,):
        rpc = Rpc(SHOP.method(method), dict(fields))
        assert isinstance(chain.request(rpc), Forwarded)
        asked, rpc.message = rpc.message, {}
        chain.response(rpc, status)
    rpc.message = asked
    return rpc, chain


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("customerName", "customerName"),
        ("customer_name", "customerName"),
        ("CUSTOMERNAME", "customerName"),
        ("itemCount", "item_count"),
        ("sent_to.post_code", "sentTo.postCode"),
        ("user_id", "user_id"),
        ("userid", "userid"),
        ("userId", "userid"),
    ],
)
def test_a_field_in_another_spelling(written: str, path: str) -> None:
    value = "2" if path == "item_count" else "'x'"
    rpc, _ = run(place(f"req(rpc):\n    set(rpc, '{written}', {value})\n    send(rpc, Down)\n"))
    assert path in rpc.message
    assert set(rpc.message) <= {path, path.partition(".")[0]}


def test_a_spelling_that_fits_two_fields_is_told_with_both() -> None:
    with pytest.raises(DiagnosticError) as caught:
        place("req(rpc):\n    x = get(rpc, 'User_Id_')\n    send(rpc, Down)\n")
    (found,) = caught.value.diagnostics
    assert (found.code, found.help) == ("E014", "write `user_id` or `userid`")


@pytest.mark.parametrize("name", ["status", "meta_status", "metaStatus", "meta_response"])
def test_the_status_as_a_field_that_the_message_lacks(name: str) -> None:
    program = f"""
        state:
            seen: Vec<string>
            good: int

        init():
            pass

        req(rpc):
            set(seen, size(seen), get(rpc, '{name}'))
            send(rpc, Down)

        resp(rpc):
            set(seen, size(seen), get(rpc, '{name}', 'string'))
            match get(rpc, '{name}', 'string') == 'success':
                true =>
                    good = good + 1
                false =>
                    pass
            send(rpc, Up)
    """
    _, chain = run(place(program), 0, 14)
    assert [value for _, value in chain.records()] == [b"success", b"success", b"success", b"failure"]
    assert chain.state_of("it")["good"] == 1


def test_the_status_as_a_field_is_a_number_where_one_is_needed() -> None:
    program = """
        state:
            code: int
            said: int
            late: int

        init():
            pass

        req(rpc):
            send(rpc, Down)

        resp(rpc):
            code = get(rpc, 'status')
            said = get(rpc, 'meta_status', 'int32')
            match get(rpc, 'status') == 4:
                true =>
                    late = late + 1
                false =>
                    pass
            send(rpc, Up)
    """
    _, chain = run(place(program), 0, 4)
    assert chain.state_of("it") == {"code": 4, "said": 4, "late": 1}


def test_the_number_of_the_call_as_a_field_or_a_header() -> None:
    program = """
        state:
            texts: Map<string, int>
            numbers: Map<uint, int>
            field: int
            header: int

        init():
            pass

        req(rpc):
            rpcid = get(rpc, 'rpcid')
            set(texts, rpcid, 1)
            set(numbers, get(rpc, 'rpcid'), 1)
            set(texts, concat('h', get_rpc_header(rpc, 'appnet-rpc-id')), 1)
            header = get_rpc_header(rpc, 'appnet-rpc-id')
            send(rpc, Down)

        resp(rpc):
            field = get(rpc, 'rpcid', 'int')
            match get_rpc_header(rpc, 'Appnet-Rpc-Id') == rpc_id():
                true =>
                    pass
                false =>
                    header = 0
            send(rpc, Up)
    """
    _, chain = run(place(program), 0, 0)
    after = chain.state_of("it")
    assert after["texts"] == {b"1": 1, b"h1": 1, b"2": 1, b"h2": 1}
    assert after["numbers"] == {1: 1, 2: 1}
    assert (after["field"], after["header"]) == (2, 2)


def test_fields_of_these_names_are_the_message_s_own_where_it_has_them() -> None:
    program = """
        req(rpc):
            set(rpc, 'status', concat(get(rpc, 'rpcid'), get(rpc, 'status')))
            send(rpc, Down)
    """
    rpc, _ = run(place(program, "Cancel"), method="Cancel", status=b"b", rpc_id=b"a")
    assert rpc.message["status"] == b"ab"


def test_a_parameter_that_init_overwrites_is_warned_of_and_need_not_be_given() -> None:
    program = """
        state:
            prob: float
            seen: Map<string, int>

        init(prob, unused, kept):
            set(seen, 'a', 1)
            prob = 0.5
            unused = 'x'
            set(seen, kept, 1)

        req(rpc):
            send(rpc, Down)
    """
    element = place(program, kept="k")
    assert [(it.code, it.span.line) for it in element.warnings] == [("W020", 7), ("W020", 8)]
    _, chain = run(element)
    assert chain.state_of("it") == {"prob": 0.5, "seen": {b"a": 1, b"k": 1}}
    _, chain = run(place(program, kept="k", prob=0.25))
    assert chain.state_of("it")["prob"] == 0.5


@pytest.mark.parametrize(
    "init",
    ["prob = prob * 2.0", "x = prob\n    prob = 0.5", "if size(seen) == 0:\n        prob = 0.5", "pass"],
    ids=["used in it", "used before", "on one path", "never"],
)
def test_a_parameter_that_init_may_use_has_to_be_given(init: str) -> None:
    program = f"""state:
    prob: float
    seen: Vec<int>

init(prob):
    {init}

req(rpc):
    set(seen, size(seen), size(seen))
    send(rpc, Down)
"""
    with pytest.raises(DiagnosticError) as caught:
        place(program)
    assert [it.code for it in caught.value.diagnostics] == ["E041"]
    assert [it.code for it in place(program, prob=0.5).warnings] == []
