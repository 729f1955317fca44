"""What a place does not give is told where the application asks for it, by every command alike."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from appnet.application.load import load
from appnet.application.model import Side
from appnet.compile.fit import (
    Where,
    element_gaps,
    empty_notes,
    ending_notes,
    fitted,
    load_application,
    stored,
    without_store,
    worker_notes,
)
from appnet.compile.pipeline import plan_application
from appnet.diagnostics.diagnostic import DiagnosticError, Severity
from appnet.diagnostics.source import FileSource, TextSource
from appnet.ir import compile_element
from appnet.ir.needs import Need, one_state
from appnet.language import parse
from appnet.optimize import Settings
from appnet.optimize.placement import OptLevel
from appnet.processors.envoy.targets import TARGETS
from tests.support.signatures import ECHO
from tests.support.snapshots import compare

BAD = Path(__file__).parent / "bad"
NOTES = sorted((Path(__file__).parent / "notes").glob("*.appnet"))
SAMPLES = Path("config/samples")


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The echo sample with an element for each thing that some place lacks."""
    shutil.copytree(SAMPLES / "echo", tmp_path / "echo")
    for name in ("cache", "sticky", "delay"):
        shutil.copy(SAMPLES / "elements" / f"{name}.appnet", tmp_path / "echo")
    return tmp_path / "echo" / "sample_echo_sidecar.yaml"


def with_element(sample: Path, name: str) -> Path:
    text = sample.read_text().replace("- name: fault\n      file: fault.", f"- name: {name}\n      file: {name}.")
    sample.write_text(text)
    return sample


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("cache", Where("wasm")),
        ("sticky", Where("native", cluster=True)),
        ("sticky", Where("wasm", workers=2)),
    ],
    ids=["reply", "route", "one_state"],
)
def test_what_no_place_gives(
    sample: Path, name: str, where: Where, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_replies("wasm", monkeypatch)
    application = load(FileSource(with_element(sample, name)))
    with pytest.raises(DiagnosticError) as caught:
        fitted(application, where)
    text = str(caught.value).replace(f"{sample.parent}/", "")
    compare(text, BAD / f"gap_{request.node.callspec.id}.txt", request)


def _without_replies(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No target of ours lacks them."""
    gives, alone = (it - {Need.REPLY} for it in (TARGETS[target].gives, TARGETS[target].alone))
    monkeypatch.setitem(TARGETS, target, replace(TARGETS[target], gives=gives, alone=alone))


@pytest.mark.parametrize("name", ["cache", "sticky", "delay"])
def test_native_sidecars_give_everything(sample: Path, name: str) -> None:
    client, server = fitted(load(FileSource(with_element(sample, name))), Where("native", workers=4))[0]
    assert client.gives == server.gives == frozenset(Need)


@pytest.mark.parametrize("target", ["native", "wasm"])
@pytest.mark.parametrize("path", NOTES, ids=lambda it: it.stem)
def test_notes(path: Path, target: str, request: pytest.FixtureRequest) -> None:
    source = FileSource(path)
    found = worker_notes(compile_element(source, ECHO).element, parse(source), target)
    assert all(it.severity is Severity.NOTE and it.label and it.help for it in found)
    text = "\n\n".join(it.render() for it in found).replace(str(path), path.name)
    compare(text, path.with_name(f"{path.stem}.{target}.txt"), request)


@pytest.mark.parametrize(
    ("name", "target", "told"),
    [
        ("cache", "wasm", ["C068"]),
        ("cache", "native", []),
        ("sticky", "wasm", []),
        ("delay", "wasm", []),
    ],
)
def test_what_an_element_needs_and_no_processor_gives_on_a_target(
    name: str, target: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_replies("wasm", monkeypatch)
    path = SAMPLES / "elements" / f"{name}.appnet"
    element = compile_element(FileSource(path), ECHO).element
    found = element_gaps(element, ECHO, parse(FileSource(path)), target)
    assert [it.code for it in found] == told
    assert all(it.severity is Severity.ERROR and it.help and it.span.line > 1 for it in found)


_REFUSES = "match get(rpc, 'body') == 'bad':\n        true => send(err('no'), {there})\n        false => pass\n    "


@pytest.mark.parametrize("target", ["native", "wasm"])
@pytest.mark.parametrize(("client", "server"), [*itertools.product([False, True], repeat=2)])
@pytest.mark.parametrize("refusing", [(), ("req",), ("resp",), ("req", "resp")], ids=str)
def test_streams_that_end_without_a_status(target: str, client: bool, server: bool, refusing: tuple[str, ...]) -> None:
    blocks = (
        f"{name}(rpc):\n    {_REFUSES.format(there='Up') if name in refusing else ''}send(rpc, {onwards})\n"
        for name, onwards in (("req", "Down"), ("resp", "Up"))
    )
    source = TextSource(Path("words.appnet"), "\n".join(("state:\n    pass\n", "init():\n    pass\n", *blocks)))
    method = replace(ECHO, client_streaming=client, server_streaming=server)
    program = parse(source)
    found = list(ending_notes(compile_element(source, method).element, method, program, target))
    streams = {"req": client, "resp": server}
    expected = [it for it in refusing if streams[it] and target == "wasm"]
    assert [it.span for it in found] == [program.blocks()[it].span for it in expected]
    assert all(it.code == "N005" and it.severity is Severity.NOTE and "--target native" in it.help for it in found)


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("set_metadata(rpc, 'x-a', '')", "`x-a`"),
        ("set_metadata(rpc, 'x-a', 'a')", ""),
        ("set_metadata(rpc, 'x-a', get(rpc, 'body'))\n    set_metadata(rpc, get(rpc, 'body'), '')", "`x-a`, `…`"),
        ("set_metadata(rpc, 'x-a', size(get(rpc, 'body')))", ""),
        ("set_metadata(rpc, 'x-a', '<' + get(rpc, 'body') + '>')", ""),
        ("x = 'a'\n    x = get(rpc, 'body')\n    set_metadata(rpc, 'x-a', x)", "`x-a`"),
    ],
)
def test_metadata_that_may_be_set_to_the_empty_text(line: str, keys: str) -> None:
    handlers = f"req(rpc):\n    {line}\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"
    source = TextSource(Path("tags.appnet"), f"state:\n    pass\n\ninit():\n    pass\n\n{handlers}")
    element, program = compile_element(source, ECHO).element, parse(source)
    assert [it.label for it in empty_notes(element, program, "native")] == ([f"may set {keys} so"] if keys else [])
    assert not [*empty_notes(element, program, "wasm")]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("firewall", []),
        ("logging", []),
        ("metrics", []),
        ("timeout", []),
        ("mirror", ["marked"]),
        ("sticky", ["hosts"]),
        ("concurrency_limit", ["inside"]),
    ],
)
def test_what_workers_have_for_themselves(name: str, parts: list[str]) -> None:
    element = compile_element(FileSource(SAMPLES / "elements" / f"{name}.appnet"), ECHO).element
    assert [it.name for it in one_state(element)] == parts


def test_elements_that_share_no_processor(tmp_path: Path) -> None:
    text = Path("examples/chain/echo.yaml").read_text().replace("../../", f"{Path.cwd()}/")
    spec = tmp_path / "echo.yaml"
    spec.write_text(text.replace("- sidecar", "- mrpc", 1))
    with pytest.raises(DiagnosticError) as caught:
        load_application(FileSource(spec))
    assert [it.code for it in caught.value.diagnostics] == ["C025"]


_ASKS = """\
state:
    pass
init():
    pass
req(rpc):
    if peer(rpc) != 'spiffe://shop/front':
        send(err('who?', UNAUTHENTICATED), Up)
    send(rpc, Down)
resp(rpc):
    send(rpc, Up)
"""


@pytest.mark.parametrize(
    ("listed", "where"), [(("grpc",), "grpc"), (("sidecar",), "sidecar"), (("grpc", "sidecar"), "sidecar")], ids=str
)
def test_who_the_caller_is_is_known_where_its_connection_ends(
    sample: Path, listed: tuple[str, ...], where: str
) -> None:
    """A program behind a sidecar has its connection from that."""
    (sample.parent / "firewall.appnet").write_text(_ASKS)
    processors = "".join(f"    - {it}\n" for it in listed)
    sample.write_text(sample.read_text().replace("    - sidecar\n", processors))
    (plan,) = plan_application(load_application(FileSource(sample)), Settings(OptLevel.NO), Where())
    (server,) = (it for it in plan.plan.segments if it.place.side is Side.SERVER)
    assert server.place.processor == where


# --- shared state ---


@pytest.mark.parametrize(("declared", "told"), [("total", ["W004"]), ("limit", [])], ids=["changed", "read-only"])
def test_state_that_a_processor_does_not_share_is_told(sample: Path, declared: str, told: list[str]) -> None:
    state = "limit: int\n    total: int".replace(declared, f"@consistency(strong)\n    {declared}")
    handler = "total = total + 1\n    if total > limit:\n        send(err('no'), Up)\n    send(rpc, Down)"
    text = f"state:\n    {state}\ninit(limit = 3):\n    pass\nreq(rpc):\n    {handler}\nresp(rpc):\n    send(rpc, Up)\n"
    (sample.parent / "cache.appnet").write_text(text)
    config = FileSource(with_element(sample, "cache"))
    assert load_application(config).warnings == ()
    for target, where in (("wasm", Where("wasm", gateway=False)), ("native", Where(cluster=True))):
        found = load_application(config, where=where).warnings
        assert [it.code for it in found] == told
        for it in found:
            assert it.title == (
                f"`cache` shares state between instances, which is not supported on {target}: "
                "each instance keeps its own `total`"
            )


@pytest.mark.parametrize(("level", "does"), [("weak", "merges state of its"), ("strong", "shares state between")])
def test_wasm_shares_state_where_a_control_plane_has_a_gateway(sample: Path, level: str, does: str) -> None:
    text = (
        f"state:\n    @consistency({level})\n    total: int\ninit():\n    pass\nreq(rpc):\n    total = total * 2 + 1\n"
    )
    (sample.parent / "cache.appnet").write_text(f"{text}    send(rpc, Down)\nresp(rpc):\n    send(rpc, Up)\n")
    config = FileSource(with_element(sample, "cache"))
    controlled = Where("wasm", cluster=True, controlled=True)
    for where in (Where("wasm"), controlled):
        assert load_application(config, where=where).warnings == ()

    def apart(where: Where) -> None:
        (found,) = load_application(FileSource(sample), where=where).warnings
        assert found.title.startswith(f"`cache` {does} instances, which is not supported on wasm: ")

    apart(Where("wasm", gateway=False))
    apart(Where("wasm", cluster=True))
    sample.write_text(sample.read_text().replace("spec:\n", "spec:\n  state: {store: 'unix:///run/store'}\n"))
    apart(controlled)  # the controller has no such socket


@pytest.mark.parametrize(
    ("address", "store", "code"),
    [
        ("", "", "C098"),
        ("rediss://store", "", None),
        ("rediss://store?cacert=/no/such/file", "", "C099"),
        ("redis://ann:$NO_PASSWORD@store", "", "C100"),
        ("redis://ann:$A_PASSWORD@store", "", None),
        ("", "unix:///run/store", None),
        ("redis://store", "", None),
    ],
)
@pytest.mark.parametrize("level", ["strong", "weak"])
def test_state_in_a_store_needs_one(
    sample: Path, address: str, store: str, code: str | None, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_PASSWORD", "of ann")
    monkeypatch.delenv("NO_PASSWORD", raising=False)
    state = f"state:\n    @consistency({level})\n    total: int\n"
    handler = "total = total + 1\n    if total > 3:\n        send(err('no'), Up)\n    send(rpc, Down)"
    text = f"{state}init():\n    pass\nreq(rpc):\n    {handler}\nresp(rpc):\n    send(rpc, Up)\n"
    (sample.parent / "cache.appnet").write_text(text)
    config = with_element(sample, "cache")
    if address:
        config.write_text(config.read_text().replace("spec:\n", f"spec:\n  state: {{store: '{address}'}}\n"))
    where = Where(store=store)
    found = without_store(stored(load_application(FileSource(config), where=where), where), where)
    assert [it.code for it in found] == [code] * (code is not None)
