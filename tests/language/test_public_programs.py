"""What the programs of the public AppNet are made of, in both its syntaxes, and what becomes of it here.

The programs are ours; each uses the constructs of the public ones that its row names. The outcome is no error, or the
code and line of each, with a remedy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import pytest

from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import TextSource
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
    Row("circuit breaker: a field that the message lacks", resp="x := rpc.get('meta_response');\nsend(rpc, APP);", told=(("E014", 42),)),
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
)  # fmt: skip


def today(row: Row) -> str:
    """The row as a program whose blocks begin in lines 1, 11, 20 and 41."""
    blocks = (("state:", row.state, 10), (f"init({row.parameters}):", row.init, 9))
    blocks += (("req(rpc):", row.req, 21), ("resp(rpc):", "send(rpc, Up)", 0))
    text = ""
    for head, body, lines in blocks:
        block = f"{head}\n{indent(body or 'pass', '    ')}\n"
        text += block + "\n" * (lines - block.count("\n"))
    return text


@pytest.mark.parametrize("row", TODAY, ids=lambda row: row.name)
def test_the_syntax_of_today(row: Row) -> None:
    given = Row(row.name) if row.told else row  # the parameters of rows that are told wrong are not given
    assert outcome(today(row), given) == row.told
