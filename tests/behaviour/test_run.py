"""What is told where something else comes of a step than its behaviour file expects."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.application.proto import load_proto
from appnet.behaviour.messages import decode, encode
from appnet.behaviour.reader import load_behaviour
from appnet.behaviour.run import Failure, run_behaviour, targets
from appnet.behaviour.trace import trace_case
from appnet.diagnostics.source import FileSource, base_name
from appnet.ir.rows import match_action_rows
from tests.support.programs import program

TARGETS = targets()

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "config" / "samples").rglob("*.behaviour.yaml"))

ELEMENT = """\
state:
    count: int
    total: Map<string, <int, float>>
    seen: Vec<string>

init():
    pass

req(rpc):
    count = count + 1
    set(total, 'all', (count, 0.5))
    set(seen, size(seen), get(rpc, 'body'))
    set_metadata(rpc, 'x-count', count)
    match count > 2:
        true => send(err('enough'), Up)
        false => pass
    set(rpc, 'body', 'changed')
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
PROTO = 'syntax = "proto3"; service S { rpc Do(M) returns (M); } message M { string body = 1; int32 size = 2; }'
HEAD = "proto: it.proto\nmethod: Do\ncases:\n  - name: it\n    steps:\n"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda it: it.name.split(".")[0])
def test_standard_elements_behave_as_written_beside_them(path: Path) -> None:
    results = list(run_behaviour(load_behaviour(FileSource(path)), TARGETS))
    assert results
    assert [failure for it in results for failure in it.failures] == []


def test_every_standard_element_has_a_behaviour_file_and_every_line_in_it_is_tried() -> None:
    elements = sorted((ROOT / "config" / "samples" / "elements").glob("*.appnet"))
    assert elements
    assert [it.stem for it in elements if not it.with_suffix(".behaviour.yaml").is_file()] == []


def test_every_row_of_every_standard_element_fires_in_its_behaviour_files() -> None:
    rows: set[tuple[str, str, str, str]] = set()
    fired: set[tuple[str, str, str, str]] = set()
    for behaviour in map(load_behaviour, (FileSource(it) for it in SAMPLES if it.parent.name == "elements")):
        for case in behaviour.cases:
            for it in case.elements:
                for name, handler in (("req", it.req), ("resp", it.resp)):
                    rows |= {
                        (it.name, name, row.number, row.match) for row in match_action_rows(handler.body) if row.arm
                    }
            for step in trace_case(behaviour, case):
                for run in step.handlers:
                    fired |= {(run.element, run.handler, row.number, row.match) for row in run.rows if row.arm}
    assert rows - fired == set()


def failures(folder: Path, steps: str, element: str = ELEMENT, proto: str = PROTO) -> list[Failure]:
    (folder / "it.appnet").write_text(element)
    (folder / "it.proto").write_text(proto)
    (folder / "it.behaviour.yaml").write_text(HEAD + steps)
    results = list(run_behaviour(load_behaviour(FileSource(folder / "it.behaviour.yaml")), TARGETS))
    assert {it.target for it in results} == set(TARGETS)
    return [failure for it in results for failure in it.failures]


GOOD = "      - request: {body: a, size: 1}\n        forwards: {body: changed}\n        sets: {x-count: '1'}\n"


def test_the_right_outcome_is_no_failure(tmp_path: Path) -> None:
    assert failures(tmp_path, GOOD + "    records: {seen: [a]}\n    state: {count: 1, total: {all: [1, 0.5]}}\n") == []


def test_waits_are_of_all_delays_and_of_none_that_the_caller_asks_for(tmp_path: Path) -> None:
    element = program("delay(rpc, 0.0019)\ndelay(rpc, 0.25)")
    step = "      - request: {body: a}\n        metadata: {x-envoy-fault-delay-request: soon}\n        waits: %s\n"
    assert failures(tmp_path, step % "0.251", element) == []
    assert [it.got for it in failures(tmp_path, step % "0.25", element)] == ["forwards: {}, waits: 0.251"] * len(
        TARGETS
    )
    assert failures(tmp_path, step % "0", program()) == []


MANY = """\
state:
    last: Vec<string>
    known: Map<string, int>
init():
    pass
req(rpc):
    tags = get(rpc, 'tags')
    known = get(rpc, 'counts')
    set(tags, size(tags), 'new')
    last = tags
    set(rpc, 'tags', tags)
    set(known, 'a', get(known, 'a', 0) + 1)
    set(rpc, 'counts', known)
    set(rpc, 'id.name', 'set')
    send(rpc, Down)
resp(rpc):
    set(rpc, 'tags', [])
    send(rpc, Up)
"""
MANY_PROTO = """syntax = "proto3"; service S { rpc Do(M) returns (M); } message Id { string name = 1; }
message M { repeated string tags = 1; map<string, int32> counts = 2; oneof who { int32 number = 3; Id id = 4; } }
"""
MANY_STEPS = """\
      - request: {tags: [x, y], counts: {b: 2, a: -3}, number: 7}
        forwards: {tags: [x, y, new], counts: {a: -2, b: 2}, number: 0, id: {name: set}}
        state: {last: [x, y, new], known: {b: 2, a: -2}}
      - response: {tags: [z], id: {name: kept}}
        forwards: {tags: []}
"""


def test_fields_of_many_values_and_members_of_oneofs(tmp_path: Path) -> None:
    assert failures(tmp_path, MANY_STEPS, MANY, MANY_PROTO) == []


@pytest.mark.parametrize(
    ("steps", "line", "subject", "expected", "got"),
    [
        ("      - request: {body: a}\n", 6, "the RPC", "forwards: {}",
         'forwards: {body: "changed"}, sets: {x-count: "1"}'),
        ("      - request: {body: changed}\n        sets: {x-count: '1'}\n        forwards: {size: 1}\n", 6, "the RPC",
         'forwards: {size: 1}, sets: {x-count: "1"}', 'forwards: {}, sets: {x-count: "1"}'),
        (GOOD.replace("'1'", "'2'"), 6, "the RPC", 'forwards: {body: "changed"}, sets: {x-count: "2"}',
         'forwards: {body: "changed"}, sets: {x-count: "1"}'),
        (GOOD + "      - request: {body: a}\n        refuses: ABORTED enough\n", 9, "the RPC",
         "refuses: ABORTED enough", 'forwards: {body: "changed"}, sets: {x-count: "2"}'),
        (GOOD.replace("sets", "times: 1\n        sets") + "    state: {count: 2}\n", 10, "state it.count", "2", "1"),
        (GOOD + "        state: {total: {all: [1, 1.0]}}\n", 9, "state it.total", '{"all": [1, 1.0]}',
         '{"all": [1, 0.5]}'),
        (GOOD + "    records: {seen: [a, b]}\n", 9, "records it.seen", '["a", "b"]', '["a"]'),
    ],
)  # fmt: skip
def test_a_wrong_outcome_is_told(tmp_path: Path, steps: str, line: int, subject: str, expected: str, got: str) -> None:
    found = failures(tmp_path, steps)
    assert [it.target for it in found] == list(TARGETS)
    for it in found:
        assert (base_name(it.source), it.line, it.case) == ("it.behaviour.yaml", line, "it")
        assert (it.subject, it.expected, it.got) == (subject, expected, got)


def test_a_repeated_step_must_come_to_the_same_each_time(tmp_path: Path) -> None:
    steps = "      - request: {body: changed}\n        times: 3\n        sets: {x-count: '1'}\n"
    assert [it.got for it in failures(tmp_path, steps)] == ['forwards: {}, sets: {x-count: "2"}'] * len(TARGETS)


CUT = """\
state:
    pass
init():
    pass
req(rpc):
    set(rpc, 'text', substring(get(rpc, 'text'), 0, 1))
    send(rpc, Down)
resp(rpc):
    set(rpc, 'number', 0.0 / get(rpc, 'number'))
    send(rpc, Up)
"""
CUT_PROTO = """syntax = "proto3"; service S { rpc Do(M) returns (M); }
message M { string text = 1; double number = 2; repeated double others = 3; }
"""
CUT_STEPS = """\
      - request: {text: é, number: .nan, others: [.nan]}
        forwards: {text: e}
"""
NAN_STEPS = """\
      - request: {text: e, number: .nan, others: [.nan]}
        forwards: {}
      - response: {text: é, others: [.nan]}
        forwards: {number: .nan}
"""


def test_a_text_cut_inside_a_character(tmp_path: Path) -> None:
    found = failures(tmp_path, CUT_STEPS, CUT, CUT_PROTO)
    assert len(found) == len(TARGETS)
    assert {it.got for it in found} == {r'forwards: {text: "\\xc3"}'}


def test_messages_hold_texts_that_are_cut(tmp_path: Path) -> None:
    (tmp_path / "it.proto").write_text(CUT_PROTO)
    proto = load_proto(FileSource(tmp_path / "it.proto"))
    schema = proto.method("Do").request
    fields = {"text": b"\xc3", "number": 0.5, "others": [1.0]}
    assert decode(encode(fields, schema, proto), schema, proto) == fields


def test_a_nan_is_the_same_as_another(tmp_path: Path) -> None:
    assert failures(tmp_path, NAN_STEPS, CUT, CUT_PROTO) == []
