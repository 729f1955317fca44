"""Chains for the tests that are written in Go: as files, each of them a version of one end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from appnet.application.proto import load_proto
from appnet.codegen.c.printer import ChainSource, print_by_content
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.processors.grpc.build import ISOLATED, build, build_for
from appnet.processors.grpc.container import Container
from appnet.processors.grpc.versions import message_class, signed
from appnet.processors.signing import SigningKey
from appnet.state.layout import script
from tests.support.programs import program

_PROTO = Path(__file__).with_name("calls.proto")
KEY = SigningKey.generate()
"""It signs the files; a file beside them, ``trusted``, has the public one."""
_SAMPLES = Path(__file__).parents[3] / "config" / "samples" / "elements"

_CALLS = """
state:
    count: int
    ends: int
    failed: int

init():
    pass

req(rpc):
    count = count + 1
    body = get(rpc, 'payload.body')
    set_metadata(rpc, 'x-tenant', concat('of ', get_metadata(rpc, 'x-user')))
    delete_metadata(rpc, 'x-secret')
    if body == 'refuse':
        set_metadata(rpc, 'x-why', 'because')
        send(err('refused', ABORTED), Up)
    if body == 'answer':
        r = reply()
        set(r, 'payload.body', 'made here')
        send(r, Up)
    if body == 'change':
        set(rpc, 'payload.body', 'changed')
    if body == 'hurry':
        set_deadline(rpc, 0.05)
    if body == 'wait':
        delay(rpc, 0.03)
    send(rpc, Down)

resp(rpc):
    if status(rpc) != 0:
        failed = failed + 1
    set_metadata(rpc, 'x-count', count)
    set_trailer(rpc, 'x-trailer', 'told')
    if get(rpc, 'payload.body') == 'change back':
        set(rpc, 'payload.body', 'changed back')
    if get(rpc, 'payload.body') == 'refuse back':
        send(err('refused on its way back', DATA_LOSS), Up)
    if status(rpc) == 5:
        send(err('not here', UNAVAILABLE), Up)
    send(rpc, Up)

end(rpc):
    ends = ends + 1
"""

SHARED_LIMIT = program(
    "used = used + 1\nif used > 40:\n    send(err('no more', RESOURCE_EXHAUSTED), Up)",
    state="@consistency(strong)\nused: int\n@consistency(strong)\nbegun: int\n@consistency(weak)\nseen: int",
    open="begun = begun + 1\nseen = seen + 1",
    resp="if status(rpc) == 0:\n    used = used + 0",
    end="begun = begun - 1",
)
"""It lets 40 calls pass on all instances together."""

_HOARD = """
state:
    seen: Vec<bytes>

init():
    pass

req(rpc):
    set(seen, size(seen), get(rpc, 'payload.body'))
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""

_NOTHING = "state:\n    pass\n\ninit():\n    pass\n\nreq(rpc):\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"

_TEXT = """
state:
    pass

init():
    pass

req(rpc):
    send(rpc, Down)

resp(rpc):
    set(rpc, 'username', to_string(get(rpc, 'payload.body')))
    send(rpc, Up)
"""

_STREAMS = """
state:
    sent: int
    came: int
    ends: int
    left: int

init():
    pass

open(rpc):
    if get_metadata(rpc, 'x-user') == 'nobody':
        send(err('who?', UNAUTHENTICATED), Up)
    set_metadata(rpc, 'x-tenant', concat('of ', get_metadata(rpc, 'x-user')))
    send(rpc, Down)

req(rpc):
    sent = sent + 1
    if get(rpc, 'payload.body') == 'refuse':
        send(err('refused', ABORTED), Up)
    if get(rpc, 'payload.body') == 'change':
        set(rpc, 'payload.body', 'changed')
    send(rpc, Down)

resp(rpc):
    {came}
    send(rpc, Up)

end(rpc):
    ends = ends + 1
    if status(rpc) == 1:
        left = left + 1
"""
_CAME = """came = came + 1
    set_trailer(rpc, 'x-came', came)
    if get(rpc, 'payload.body') == 'refuse back':
        send(err('refused on its way back', DATA_LOSS), Up)
    if get(rpc, 'payload.body') == 'change back':
        set(rpc, 'payload.body', 'changed back')"""

_HOSTS = """
state:
    ends: int

init():
    pass

open(rpc):
    set(rpc, 'dst', to_int(get_metadata(rpc, 'x-host')))
    send(rpc, Down)

req(rpc):
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)

end(rpc):
    ends = ends + 1
"""

_COUNTS = """
state:
    count: int
    words: Map<string, int>

init():
    pass

req(rpc):
    count = count + 1
    set(words, 'all', get(words, 'all', 0) + 1)
    set_metadata(rpc, 'x-version', '{version}')
    send(rpc, Down)

resp(rpc):
    {back}
    send(rpc, Up)
"""

QUICK = {
    "firewall": """
state:
    acl: Map<bytes, string>

init():
    set(acl, 'test', 'No')

req(rpc):
    match get(acl, get(rpc, 'payload.body')):
        Some(permission) =>
            if permission != 'Yes':
                send(err('firewall', ABORTED), Up)
        None => pass
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
""",
    "rate_limit": """
state:
    tokens: float
    last: Instant

init():
    tokens = 1000000000.0
    last = current_time()

req(rpc):
    now = current_time()
    tokens = min(1000000000.0, tokens + time_diff(now, last) * 1000000000.0)
    last = now
    if tokens < 1.0:
        send(err('rate limit', RESOURCE_EXHAUSTED), Up)
    tokens = tokens - 1.0
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
""",
    "header": """
state:
    pass

init():
    pass

req(rpc):
    set_metadata(rpc, 'x-tenant', 'default')
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
""",
    "record": """
state:
    latency: Vec<float>
    begun: Map<uint, Instant>

init():
    pass

req(rpc):
    set(begun, rpc_id(), current_time())
    send(rpc, Down)

resp(rpc):
    match get(begun, rpc_id()):
        Some(at) => set(latency, size(latency), time_diff(current_time(), at))
        None => pass
    send(rpc, Up)
""",
}


def _sample(name: str) -> str:
    return (_SAMPLES / f"{name}.appnet").read_text("utf-8")


def methods_of(programs: dict[str, list[tuple[str, str]]]) -> list[tuple[MethodSignature, list[Element]]]:
    """Each method with its elements, compiled; ``programs``: their names and texts."""
    proto = load_proto(FileSource(_PROTO))
    methods = []
    for method, elements in programs.items():
        signature = proto.method(method)
        compiled = [
            compile_element(TextSource(Path(f"{element}.appnet"), text), signature, name=element).element
            for element, text in elements
        ]
        methods.append((signature, compiled))
    return methods


def chain_file(
    name: str,
    programs: dict[str, list[tuple[str, str]]],
    *,
    server: bool,
    records: str = "",
    store: Any = None,
    built: Callable[[str], bytes] = build,
) -> bytes:
    """A version with one chain; ``programs`` as of `methods_of`. ``records``: where those of elements go. ``store``: a
    ``Store`` of library.proto. ``built``: makes the container of the chain's text."""
    code = print_by_content(ChainSource(name, "", methods_of(programs)), "library")
    version = message_class("Version")(id=code.version, node=f"{name}-grpc", client="frontend", server="server")
    version.records = records
    version.at_server = server
    version.chains.add(name=name, version=code.version, max_message=4 << 20, code=built(code.text), store=store)
    encoded: bytes = signed(version, KEY).SerializeToString(deterministic=True)
    return encoded


def read_chains(file: bytes) -> Any:
    """The version in a file of chains."""
    return message_class("Version").FromString(read_signed(file).version)


def read_signed(file: bytes) -> Any:
    """The same as it is signed."""
    return message_class("SignedVersion").FromString(file)


def faulty_file() -> bytes:
    """The chain of `calls`, which goes astray where it should refuse: for runtimes that keep it apart, and no other."""
    element = compile_element(TextSource(Path("calls.appnet"), _CALLS), _method("UnaryCall"), name="calls").element
    code = print_by_content(ChainSource("faulty", "", [(_method("UnaryCall"), [element])]), "library")
    text = code.text
    for refusal, fault in _FAULTS.items():
        assert text.count(refusal) == 1
        text = text.replace(refusal, fault)
    version = message_class("Version")(id=code.version, node="faulty-grpc", client="frontend", server="server")
    built = Container({ISOLATED: build_for(text, ISOLATED)}).pack()
    version.chains.add(name="faulty", version=code.version, max_message=4 << 20, code=built)
    encoded: bytes = signed(version, KEY).SerializeToString()
    return encoded


def _method(name: str) -> MethodSignature:
    return load_proto(FileSource(_PROTO)).method(name)


_FAULTS = {
    'return an_refuse(scope, 10, AN_TEXT("refused"));': "return (an_verdict)*(volatile int *)0xfffffff0u;",
    'return an_refuse(scope, 15, AN_TEXT("refused on its way back"));': "__builtin_trap();",
}


def write_chains(folder: Path) -> None:
    """Everything that the tests in Go want, as ``NAME.chains``."""
    duplex = _STREAMS.replace("{came}", _CAME)
    calls = {
        "UnaryCall": [("calls", _CALLS)],
        "EmptyCall": [("nothing", _NOTHING)],
    }
    streams = {
        "FullDuplexCall": [("duplex", duplex)],
        "StreamingOutputCall": [("output", duplex)],
        "StreamingInputCall": [("input", _STREAMS.replace("{came}", "pass"))],
    }
    quick = list(QUICK.items())
    twelve = [(f"{name}{number}", text) for number in range(3) for name, text in quick]
    files = {
        "calls": calls,
        "streams": streams,
        "hosts": {"UnaryCall": [("hosts", _HOSTS)], "FullDuplexCall": [("hosts", _HOSTS)]},
        **{name: {"UnaryCall": [(name, _sample(name))]} for name in ("sticky", "canary", "servicerouter_client")},
        "text": {"UnaryCall": [("text", _TEXT)]},
        "hoard": {"UnaryCall": [("hoard", _HOARD)]},
        "shared": {"UnaryCall": [("limit", SHARED_LIMIT)]},
        "none": {"UnaryCall": [("nothing", _NOTHING)]},
        "one": {"UnaryCall": quick[:1]},
        "four": {"UnaryCall": quick},
        "twelve": {"UnaryCall": twelve},
        "counts-a": {"UnaryCall": [("counts", _COUNTS.format(version="a", back="pass"))]},
        "counts-b": {
            "UnaryCall": [("counts", _COUNTS.format(version="b", back="set_metadata(rpc, 'x-version', 'b')"))]
        },
    }
    for name, programs in files.items():
        scope = name.partition("-")[0]
        for server in (False, True):
            side = "server" if server else "client"
            file = chain_file(f"{scope}.{side}", programs, server=server)
            (folder / f"{name}.{side}.chains").write_bytes(file)
    (folder / "state.lua").write_bytes(script())
    (folder / "trusted").write_text(KEY.public_text)
    (folder / "faulty.client.chains").write_bytes(faulty_file())
    calls_client = read_chains((folder / "calls.client.chains").read_bytes())
    for machine, code in Container.unpack(calls_client.chains[0].code).code.items():
        (folder / f"calls.{machine}{'.wasm' if machine == ISOLATED else '.so'}").write_bytes(code)


if __name__ == "__main__":
    import sys

    write_chains(Path(sys.argv[1]))
