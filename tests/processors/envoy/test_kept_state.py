"""What versions of a chain in one proxy have in common: the state of their elements."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from appnet.codegen.c import ChainSource, print_chain
from appnet.diagnostics.source import TextSource
from appnet.ir import compile_element
from appnet.ir.nodes import Element
from appnet.processors.envoy.build import build
from appnet.processors.envoy.harness import native, wasm
from appnet.processors.envoy.targets import NATIVE, TARGETS, WASM
from appnet.processors.processor import Denied
from tests.support.raw_grpc import frame, string_field
from tests.support.signatures import ECHO
from tests.support.state_keeper import keeper

Version = native.ModuleUnderTest | wasm.ModuleUnderTest
PATH = "/echo.EchoService/echo"
QUOTA = """\
state:
    @capacity({capacity})
    used: Map<string, int>
    calls: int
    limit: int
    last: string

init(limit = {limit}):
    pass

req(rpc):
    calls = calls + 1
    user = get(rpc, 'body')
    mine = get(used, user, 0)
    if mine >= limit:
        send(err('used up by {name}', RESOURCE_EXHAUSTED), Up)
    set(used, user, mine + 1)
    last = user
    send(rpc, Down)

resp(rpc):
    send(rpc, Up)
"""
PASS = "state:\n    pass\n\ninit():\n    pass\n\nreq(rpc):\n    send(rpc, Down)\n\nresp(rpc):\n    send(rpc, Up)\n"


def element(name: str, text: str) -> Element:
    return compile_element(TextSource(Path(f"{name}.appnet"), text), ECHO).element


def quota(*, name: str = "v1", limit: int = 2, capacity: int = 10) -> Element:
    return element("quota", QUOTA.format(name=name, limit=limit, capacity=capacity))


class Proxy:
    """What runs versions of one chain in a process of its own, as far as they can tell."""

    _numbers = itertools.count()

    def __init__(self, target: str) -> None:
        self.target = target
        self.shared = wasm.SharedData()
        self._keeper = keeper(f"proxy {next(self._numbers)}")
        self._versions = itertools.count(1)

    def version(self, *elements: Element, name: str = "client") -> Version:
        """A version that begins now, beside those that have not ended."""
        source = ChainSource(name, str(next(self._versions)), ((ECHO, elements),))
        module = build(print_chain(source), self.target)
        if self.target == NATIVE:
            return native.ModuleUnderTest(module, keeper=self._keeper)
        wasm.ModuleUnderTest(
            module, shared=self.shared
        )  # Envoy tries each version on its main thread, and throws it away
        self.shared.deliver()
        return wasm.ModuleUnderTest(module, shared=self.shared)


@pytest.fixture(params=list(TARGETS))
def proxy(request: pytest.FixtureRequest) -> Proxy:
    return Proxy(request.param)


def ask(version: Version, user: str) -> str:
    """What becomes of a call."""
    call = version.call()
    outcome = call.run_request(PATH, {}, [frame(string_field(1, user.encode()))])
    call.end()
    return outcome.text.decode() if isinstance(outcome, Denied) else "passes"


def test_a_used_up_quota_is_used_up_after_a_neighbour_changed(proxy: Proxy) -> None:
    before = proxy.version(quota(), element("other", PASS))
    assert [ask(before, "ann") for _ in range(3)] == ["passes", "passes", "used up by v1"]
    after = proxy.version(element("other", PASS.replace("pass", "seen: int", 1)), quota())
    assert after.state_dump().splitlines()[1:] == before.state_dump().splitlines()
    assert ask(after, "ann") == "used up by v1"
    assert ask(after, "bob") == "passes"


def test_old_and_new_versions_share_a_quota_exactly_while_both_have_calls(proxy: Proxy) -> None:
    before = proxy.version(quota(limit=6))
    after = proxy.version(quota(name="v2", limit=6))
    answers = [ask(version, "ann") for _ in range(4) for version in (before, after)]
    assert answers == ["passes"] * 6 + ["used up by v1", "used up by v2"]
    before.end()
    assert ask(after, "ann") == "used up by v2"
    assert "quota.calls = 9\n" in after.state_dump()


def test_what_init_alone_writes_is_the_new_versions(proxy: Proxy) -> None:
    before = proxy.version(quota(limit=2))
    ask(before, "ann")
    after = proxy.version(quota(name="v2", limit=3))
    assert [ask(after, "ann") for _ in range(3)] == ["passes", "passes", "used up by v2"]
    assert ask(before, "ann") == "used up by v1"


def test_a_changed_element_keeps_the_variables_of_the_same_name_and_type(proxy: Proxy) -> None:
    before = proxy.version(quota())
    ask(before, "ann")
    changed = QUOTA.format(name="v2", limit=2, capacity=10).replace(
        "    calls: int\n", "    calls: uint\n    more: int\n"
    )
    after = proxy.version(element("quota", changed))
    before.end()
    kept = dict(line.split(" = ") for line in after.state_dump().splitlines())
    assert kept["quota.used"] == f'{{"{b"ann".hex()}": 1}}'
    assert kept["quota.last"] == f'"{b"ann".hex()}"'
    assert (kept["quota.calls"], kept["quota.more"]) == ("0", "0")  # another type, another name
    assert ask(after, "ann") == "passes"


def test_a_capacity_that_became_smaller_evicts_what_was_set_longest_ago(proxy: Proxy) -> None:
    before = proxy.version(quota(limit=1, capacity=10))
    for user in "abcdef":
        ask(before, user)
    after = proxy.version(quota(limit=1, capacity=3))
    assert after.state_dump().splitlines()[0].count(":") == 3
    assert ("appnet.evicted", ("quota", 3)) in after.records()
    assert [ask(after, user) for user in "defa"] == ["used up by v1"] * 3 + ["passes"]


def test_state_that_an_older_version_fills_past_the_new_capacity_gets_smaller_again(proxy: Proxy) -> None:
    before = proxy.version(quota(limit=1, capacity=10))
    after = proxy.version(quota(limit=1, capacity=3))
    for user in "abcdefgh":
        ask(before, user)
    before.end()
    for user in "ijklm":
        ask(after, user)
    assert after.state_dump().splitlines()[0].count(":") == 3


def test_state_ends_with_the_last_version_that_has_it(proxy: Proxy) -> None:
    before = proxy.version(quota())
    ask(before, "ann")
    without = proxy.version(element("other", PASS))
    before.end()
    after = proxy.version(quota())
    without.end()
    assert "quota.calls = 0\n" in after.state_dump()


def test_proxies_and_chains_of_other_names_have_nothing_in_common(proxy: Proxy) -> None:
    ask(proxy.version(quota()), "ann")
    assert "quota.calls = 0\n" in Proxy(proxy.target).version(quota()).state_dump()


def test_an_element_keeps_its_state_when_it_is_fused_with_others() -> None:
    proxy = Proxy(NATIVE)  # machines of other modules have another id
    before = proxy.version(quota(), name="client-quota")
    ask(before, "ann")
    after = proxy.version(element("other", PASS), quota(), name="client")
    before.end()
    assert "quota.calls = 1\n" in after.state_dump()


def test_the_numbers_of_calls_go_on(proxy: Proxy) -> None:
    numbered = PASS.replace("    pass", "    last: uint", 1).replace("req(rpc):", "req(rpc):\n    last = rpc_id()")
    before = proxy.version(element("numbered", numbered))
    ask(before, "ann")
    after = proxy.version(element("numbered", numbered))
    ask(after, "ann")
    assert after.state_dump() == before.state_dump() == "numbered.last = 2\n"


def test_the_numbers_of_calls_go_on_where_nothing_else_is_kept(proxy: Proxy) -> None:
    tells = element("tells", PASS.replace("send(rpc, Down)", "send(err(to_string(rpc_id())), Up)"))
    before = proxy.version(tells)
    assert [ask(before, "ann"), ask(before, "ann")] == ["1", "2"]
    after = proxy.version(tells)
    assert ask(after, "ann") == "3"


def test_the_numbers_of_calls_go_on_whichever_module_counts() -> None:
    proxy = Proxy(NATIVE)
    tells = element("tells", PASS.replace("send(rpc, Down)", "send(err(to_string(rpc_id())), Up)"))
    before = proxy.version(tells, name="client-tells")
    assert ask(before, "ann") == "1"
    after = proxy.version(element("other", PASS), tells, name="client")
    before.end()
    assert ask(after, "ann") == "2"


def test_a_wasm_chain_asks_nothing_more_once_it_is_alone() -> None:
    proxy = Proxy(WASM)
    before = proxy.version(quota(limit=9))
    ask(before, "ann")
    alone = asked(before)
    after = proxy.version(quota(name="v2", limit=9))
    assert asked(before) > alone  # its state is wanted
    ask(after, "ann")
    assert asked(after) > alone  # changes are told
    before.end()
    proxy.shared.deliver()
    assert asked(after) == alone
    assert "quota.calls = 6\n" in after.state_dump()


def asked(version: Version) -> int:
    """How often a call makes the module ask its proxy for something."""
    assert isinstance(version, wasm.ModuleUnderTest)
    before = version.host_calls
    ask(version, "bob")
    return version.host_calls - before


@pytest.mark.parametrize("cut", [0, 1, 30, -1])
def test_damaged_state_is_refused_whole(cut: int) -> None:
    proxy = Proxy(WASM)
    before = proxy.version(quota())
    ask(before, "ann")
    after = proxy.version(quota(name="v2"))
    state, turn = proxy.shared.data[b"state/0"]
    damaged = bytes([state[0] ^ 0x80]) + state[1:] if cut == 0 else state[:cut]
    proxy.shared.data[b"state/0"] = damaged, turn
    assert [ask(after, "ann") for _ in range(3)] == ["passes", "passes", "used up by v2"]
    assert isinstance(after, wasm.ModuleUnderTest)
    assert after.logged == ["appnet: the state of the version before cannot be read: this one begins anew"]
