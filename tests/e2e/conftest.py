"""One chain on one real Envoy, between a client and a server that speak gRPC by the frame."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig

from appnet.application.model import USUAL_LIMITS, Limits
from appnet.application.proto import load_proto
from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.ir.numbering import numbering
from appnet.ir.stages import headers_come_ahead
from appnet.language.messages import MethodSignature
from appnet.language.statuses import STATUS_CODES
from appnet.processors.envoy.build import build
from appnet.processors.envoy.filters import wasm_filter
from appnet.processors.envoy.listeners import Sidecar, sidecar_resources
from appnet.processors.envoy.proxy.bootstrap import Identity
from appnet.processors.envoy.proxy.process import EnvoyProcess, EnvoySettings
from appnet.processors.envoy.targets import NATIVE, TARGETS, WASM
from appnet.processors.envoy.xds.server import XdsServer
from appnet.processors.envoy.xds.snapshot import Snapshot
from appnet.processors.options import ChainOptions, StoreOptions
from appnet.system.address import Address
from tests.support.gateways import SECRET, serving_gateway
from tests.support.proxies import TRUSTING, signed_filter
from tests.support.raw_grpc import RecordingServer, frame, string_field

ECHO = "/echo.EchoService/echo"
_HEAD = "state:\n    pass\n\ninit():\n    pass\n\n"
ELEMENTS = {
    **{it.stem: it.read_text(encoding="utf-8") for it in Path("config/samples/elements").glob("*.appnet")},
    "firewall": Path("config/samples/echo/firewall.appnet").read_text(encoding="utf-8"),
    "stamp": _HEAD
    + textwrap.dedent("""\
        req(rpc):
            set_metadata(rpc, 'x-stamp', get(rpc, 'body'))
            set(rpc, 'body', concat(get(rpc, 'body'), ', stamped'))
            send(rpc, Down)

        resp(rpc):
            send(rpc, Up)
        """),
    "binary_header": _HEAD
    + textwrap.dedent("""\
        req(rpc):
            set_metadata(rpc, 'copy-bin', get_metadata(rpc, 'trace-bin'))
            send(rpc, Down)

        resp(rpc):
            send(rpc, Up)
        """),
    "header_firewall": _HEAD
    + textwrap.dedent("""\
        req(rpc):
            if get_metadata(rpc, 'x-user') == 'mallory':
                send(err('not you', PERMISSION_DENIED), Up)
            send(rpc, Down)

        resp(rpc):
            send(rpc, Up)
        """),
    "codes": _HEAD
    + "req(rpc):\n    match get(rpc, 'body'):\n"
    + "".join(
        f"        '{written}' => send(err('100% né\\n\\xff', {written}), Up)\n"
        for name, code in list(STATUS_CODES.items())[1:]
        for written in (name, code)
    )
    + "    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n",
    "quota": textwrap.dedent("""\
        state:
            used: int
            by_user: Map<string, int>

        init():
            pass

        req(rpc):
            if used >= 5000:
                send(err('used up', RESOURCE_EXHAUSTED), Up)
            used = used + 1
            user = get(rpc, 'body')
            mine = get(by_user, user, 0) + 1
            set(by_user, user, mine)
            if mine > 1000:
                send(err('your share is used up', PERMISSION_DENIED), Up)
            send(rpc, Down)

        resp(rpc):
            send(rpc, Up)
        """),
    "asked_for_load": _HEAD
    + textwrap.dedent("""\
        req(rpc):
            (busy, now) = get_load(1)
            if get(rpc, 'body') == 'ask':
                send(err(to_string(busy)), Up)
            set(rpc, 'dst', 1)
            send(rpc, Down)

        resp(rpc):
            send(rpc, Up)
        """),
    "to_host_1": _HEAD
    + textwrap.dedent("""\
        req(rpc):
            set(rpc, 'dst', 1)
            send(rpc, Down)

        resp(rpc):
            send(rpc, Up)
        """),
    "seen_dst": _HEAD
    + textwrap.dedent("""\
        req(rpc):
            set_metadata(rpc, 'x-seen', concat('dst=', get_metadata(rpc, 'dst')))
            send(rpc, Down)

        resp(rpc):
            send(rpc, Up)
        """),
    "refusing_headers": _HEAD
    + "req(rpc):\n    match get_metadata(rpc, 'x-refuse'):\n"
    + "".join(f"        '{name}' => send(err('no: {name}', {name}), Up)\n" for name in list(STATUS_CODES)[1:])
    + "    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n",
    "refusing_errors": _HEAD
    + textwrap.dedent("""\
        req(rpc):
            send(rpc, Down)

        resp(rpc):
            if status(rpc) != 0:
                send(err('no luck', UNAUTHENTICATED), Up)
            send(rpc, Up)
        """),
    "counted_messages": _HEAD.replace("pass", "seen: int", 1)
    + textwrap.dedent("""\
        req(rpc):
            seen = seen + 1
            if seen > 1000:
                send(err('enough', RESOURCE_EXHAUSTED), Up)
            send(rpc, Down)

        resp(rpc):
            seen = seen + 1
            if seen > 1000:
                send(err('enough', RESOURCE_EXHAUSTED), Up)
            send(rpc, Up)
        """),
    "delay_all": Path("config/samples/elements/delay.appnet")
    .read_text(encoding="utf-8")
    .replace("share = 0.01, milliseconds = 100", "share = 1.0, milliseconds = 400"),
    "delay_none": Path("config/samples/elements/delay.appnet")
    .read_text(encoding="utf-8")
    .replace("share = 0.01", "share = 0.0"),
    "number": textwrap.dedent("""\
        state:
            first: Map<uint, string>
            seen: int

        init():
            pass

        req(rpc):
            seen = seen + 1
            match get(first, rpc_id()):
                None => set(first, rpc_id(), get(rpc, 'body'))
            if get(rpc, 'body') == 'bad':
                send(err(concat('after ', get(first, rpc_id(), '')), PERMISSION_DENIED), Up)
            set(rpc, 'body', concat(concat(to_string(seen), ' '), get(rpc, 'body')))
            send(rpc, Down)

        resp(rpc):
            if contains(get(rpc, 'body'), 'secret'):
                send(err('no secrets', OUT_OF_RANGE), Up)
            if status(rpc) == 5:
                send(err('nothing there', UNAVAILABLE), Up)
            send(rpc, Up)
        """),
    "parrot": _HEAD
    + textwrap.dedent("""\
        req(rpc):
            if get_metadata(rpc, 'x-ask') == '':
                r = reply()
                set(r, 'body', get(rpc, 'body'))
                send(r, Up)
            send(rpc, Down)

        resp(rpc):
            send(rpc, Up)
        """),
    "signature": _HEAD
    + textwrap.dedent("""\
        req(rpc):
            send(rpc, Down)

        resp(rpc):
            set_metadata(rpc, 'x-status', to_string(status(rpc)))
            set(rpc, 'body', concat(get(rpc, 'body'), ', signed'))
            send(rpc, Up)
        """),
    "response_firewall": _HEAD
    + textwrap.dedent("""\
        req(rpc):
            send(rpc, Down)

        resp(rpc):
            if get(rpc, 'body') == 'secret':
                send(err('no secrets', PERMISSION_DENIED), Up)
            send(rpc, Up)
        """),
}


@dataclass
class Proxied:
    """``port`` is the proxy's, ``server`` is behind it, with ``others`` where there are more. ``stats`` gives Envoy's statistics that match a pattern."""

    port: int
    server: Any
    is_running: Callable[[], bool]
    stats: Callable[[str], dict[str, int]]
    others: Sequence[Any] = ()
    config_dump: Callable[[], str] = str


StartProxied = Callable[..., Proxied]


def _elements(names: str, method: MethodSignature) -> tuple[Element, ...]:
    sources = [TextSource(Path(f"{it}.appnet"), ELEMENTS[it]) for it in names.split("+") if it]
    return tuple(compile_element(source, method).element for source in sources)


def _compile(element: str, before: str, behind: str, target: str, methods: Sequence[MethodSignature]) -> bytes:
    compiled = tuple((it, _elements(element, it)) for it in methods)
    ahead = frozenset(it.full_name for it in methods if headers_come_ahead(_elements(before, it), it))
    numbers = numbering(*(_elements(it, methods[0]) for it in (before, element, behind)))
    return build(print_chain(ChainSource(element, "1", compiled, ahead, numbers)), target)


def _extension(
    number: int,
    elements: Sequence[str],
    target: str,
    methods: Sequence[MethodSignature],
    hosts: int,
    limits: Limits,
    store: StoreOptions | None,
) -> TypedExtensionConfig:
    """The filter of this number, of which there is one for each of ``elements``."""
    name = f"chain{number}"
    before, behind = "+".join(elements[:number]), "+".join(elements[number + 1 :])
    options = ChainOptions("echo", "node", "1", limits.max_message, hosts, store=store, gateway=SECRET)
    module = _compile(elements[number], before, behind, target, methods)
    if target == NATIVE:
        return signed_filter(name, module, options)
    return wasm_filter(name, module, options)


@contextlib.contextmanager
def proxies(target: str, folder: Path) -> Iterator[StartProxied]:
    """Starts proxies in an event loop that stands still while the test's blocking client and server talk."""
    loop = asyncio.new_event_loop()
    stack = contextlib.AsyncExitStack()

    async def start(
        elements: Sequence[str],
        servers: Sequence[Any],
        number: int,
        workers: int,
        methods: Sequence[MethodSignature],
        limits: Limits,
        store: StoreOptions | None,
        *,
        lets_reply: bool,
    ) -> Proxied:
        names = [f"chain{it}" for it in range(len(elements))]
        extensions = [
            _extension(number, elements, target, methods, len(servers), limits, store)
            for number in range(len(elements))
        ]
        xds = await stack.enter_async_context(XdsServer())
        upstream = [Address("127.0.0.1", it.port) for it in servers]
        used = [it for names_ in elements for it in names_.split("+")]
        sidecar = Sidecar(
            "ingress",
            names,
            upstream,
            max_message=limits.max_message,
            chooses_host=len(servers) > 1,
            delays=any("delay(" in ELEMENTS[it] for it in used),
            replies=lets_reply and target == WASM and any("reply()" in ELEMENTS[it] for it in used),
            idle_seconds={it.full_name: limits.idle for it in methods if limits.idle},
        )
        xds.set_snapshot("node", Snapshot("1", (*sidecar_resources(sidecar), *extensions)))
        gateway = store if target == WASM else None
        settings = EnvoySettings(
            Identity("node", "echo"),
            folder / str(number),
            xds.address,
            telemetry=stack.enter_context(serving_gateway(gateway)) if gateway else None,
            workers=workers,
            environment=TRUSTING,
        )
        envoy = await stack.enter_async_context(EnvoyProcess(settings))
        await envoy.ready()
        address = await envoy.listener_address("ingress")
        stats = lambda pattern: loop.run_until_complete(envoy.admin.stats(pattern))  # noqa: E731
        dump = lambda: loop.run_until_complete(envoy.admin.get("/config_dump"))  # noqa: E731
        return Proxied(address.port, servers[0], lambda: _running(envoy), stats, servers[1:], dump)

    def _running(envoy: EnvoyProcess) -> bool:
        loop.run_until_complete(asyncio.sleep(0.01))  # lets the loop notice a child that ended
        return envoy.running

    numbers = iter(range(100))
    echo = load_proto(FileSource(Path("config/samples/echo/echo.proto"))).method("echo")

    def start_blocking(
        element: str,
        server: Any | None = None,
        workers: int = 1,
        hosts: int = 1,
        method: MethodSignature = echo,
        *,
        before: Sequence[str] = (),
        methods: Sequence[MethodSignature] = (),
        limits: Limits = USUAL_LIMITS,
        store: StoreOptions | None = None,
        lets_reply: bool = True,
    ) -> Proxied:
        """A proxy with a module for the element and one for each of those ``before`` it; ``methods``: if several.

        Names joined by "+" are elements of one module. ``lets_reply``: the listener has what wasm modules need to reply.
        """
        servers = [server or RecordingServer(frame(string_field(1, b"reply"))) for _ in range(hosts)]
        return loop.run_until_complete(
            start(
                [*before, element],
                servers,
                next(numbers),
                workers,
                methods or (method,),
                limits,
                store,
                lets_reply=lets_reply,
            )
        )

    try:
        yield start_blocking
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()


@pytest.fixture(scope="session", params=list(TARGETS), ids=lambda target: target)
def target(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def start_proxied(target: str, tmp_path: Path) -> Iterator[StartProxied]:
    with proxies(target, tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_module_proxied(target: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartProxied]:
    with proxies(target, tmp_path_factory.mktemp("proxies")) as start:
        yield start
