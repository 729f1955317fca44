"""`appnetctl state` on a real store: what it prints and changes, and what it tells of all that can be wrong."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appnet.cli.main import app
from appnet.cli.stored import read_stored, stored_data, stored_text
from appnet.interpret.values import Value, same_value
from appnet.language.types import (
    BOOL,
    BYTES,
    FLOAT,
    INSTANT,
    INT,
    STRING,
    UINT,
    MapType,
    PairType,
    Type,
    VecType,
    type_named,
)
from appnet.state.layout import state_keys
from tests.quickstart.support import APPNETCTL
from tests.state.test_commit import Instance, count, put
from tests.state.test_merge import Instance as Counter
from tests.support import snapshots
from tests.support.shared_store import StoreUnderTest, store_under_test

WRONG = Path(__file__).parent / "wrong" / "state.txt"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreUnderTest]:
    with store_under_test() as it:
        monkeypatch.setenv("APPNET_STORE", it.url)
        monkeypatch.setenv("COLUMNS", "200")
        yield it


@pytest.fixture
def quota(store: StoreUnderTest) -> Instance:
    """An instance of an element `quota` of the edge a->b, whose keys begin with `test`."""
    one = Instance(store.client, "quota", "1", lasting="used")
    one.join()
    one.commit(count(7), put(b"ann", 3), put(b"bob", 4))
    return one


def ask(*words: str, code: int = 0) -> str:
    answer = CliRunner().invoke(app, ["state", "--prefix", "test", *words], prog_name="appnetctl")
    assert answer.exit_code == code, answer.output
    return answer.stdout if code == 0 else answer.stderr


@pytest.mark.usefixtures("quota")
def test_values_are_printed_by_name_and_key() -> None:
    assert ask("get", "quota.count") == "7\n"
    assert ask("get", "a/b/quota.used", "ann") == "3\n"
    assert json.loads(ask("get", "app/a/b/quota.used", "ann", "-o", "json")) == {
        "state": "app/a/b/quota",
        "variable": "used",
        "key": "ann",
        "value": 3,
    }
    assert 'no app/a/b/quota.used["eve"] in the store' in ask("get", "quota.used", "eve", code=1)


def test_a_change_reaches_instances_as_if_another_had_made_it(quota: Instance) -> None:
    assert ask("set", "quota.used", "ann", "--", "-5") == 'app/a/b/quota.used["ann"] = -5\n'
    answer = quota.commit(count(8))
    assert answer is not None
    assert answer.others == (put(b"ann", -5),)
    assert list(quota.values["used"].items()) == [(b"bob", 4), (b"ann", -5)]
    ask("delete", "quota.used", "bob")
    ask("set", "quota.seen", '[a, "b c"]')
    assert quota.commit() is not None
    assert quota.values["used"] == {b"ann": -5}
    assert quota.values["seen"] == [b"a", b"b c"]
    late = Instance(quota.client, "quota", "2", lasting="used")
    late.join()
    assert same_value(late.values, quota.values)
    ask("delete", "quota.used", "bob", code=1)


def test_a_variable_begins_anew_as_init_sets_it(quota: Instance) -> None:
    quota.first["count"] = 100
    ask("clear", "quota.count", "--yes")
    assert quota.commit(count(8)) is None, "it joins again"
    quota.join()
    assert quota.values["count"] == 100
    assert quota.values["used"] == {b"ann": 3, b"bob": 4}
    ask("clear", "quota", "--yes")
    assert quota.commit() is None
    quota.join()
    assert quota.values["used"] == {}


def test_what_lasts_can_be_changed_while_nobody_runs(quota: Instance) -> None:
    quota.leave()
    assert ask("get", "quota.used", "ann") == "3\n"
    ask("set", "quota.used", "ann", "4")
    quota.join()
    assert quota.values["used"] == {b"bob": 4, b"ann": 4}


def test_clear_asks(quota: Instance) -> None:
    assert "there is no terminal to ask on" in ask("clear", "quota", code=2)
    assert quota.commit() is not None, "nothing was cleared"


def test_weak_state_is_told_from_strong_state_and_cleared(quota: Instance, store: StoreUnderTest) -> None:
    seen, other = Counter(store.client, "quota", "1"), Counter(store.client, "other", "1")
    for it in (seen, other):
        it.scope = quota.scope
        it.meet()
        it.merge(5, 1)
    told = "is weak state, of which each proxy has a copy"
    assert f"app/a/b/quota.x {told}" in ask("get", "quota.x", code=2)
    assert f"app/a/b/other.x {told}" in ask("dump", "other", code=2)
    assert "app/a/b/quota.count = 7\n" in ask("dump")
    assert ask("clear", "other", "--yes") == "app/a/b/other is reset, weak state to what running proxies have of it\n"
    assert not store.client.exists(*other.keys.values())
    assert seen.value == 5
    store.client.delete(seen.keys["meta"])
    store.client.set(seen.keys["order"], "something else")
    ask("clear", "quota.x", "--yes")
    assert not store.client.exists(*seen.keys.values())
    assert ask("get", "quota.count") == "7\n"
    seen.meet()
    ask("clear", "quota", "--yes")
    assert store.client.keys("*quota*") == []


@pytest.mark.usefixtures("quota")
def test_a_password_comes_from_a_file(store: StoreUnderTest, tmp_path: Path) -> None:
    (tmp_path / "right").write_text("secret\n")
    (tmp_path / "wrong").write_text("guess\n")
    store.client.config_set("requirepass", "secret")
    for words in ([], ["--password-file", str(tmp_path / "wrong")]):
        assert "needs the right password: give it with --password-file" in ask("get", "quota.count", *words, code=1)
    assert ask("get", "quota.count", "--password-file", str(tmp_path / "right")) == "7\n"


@pytest.mark.usefixtures("quota")
def test_a_dump_has_a_line_for_each_value(store: StoreUnderTest) -> None:
    other = Instance(store.client, "other", "1")
    other.join()
    lines = [json.loads(it) for it in ask("dump", "-o", "json").splitlines()]
    assert {it["state"] for it in lines} == {"app/a/b/quota", "app/a/b/other"}
    assert [it["value"] for it in lines if it.get("key") == "bob"] == [4]
    assert sorted(ask("dump", "quota.used").splitlines()) == [
        'app/a/b/quota.used["ann"] = 3',
        'app/a/b/quota.used["bob"] = 4',
    ]
    store.client.hset(state_keys("test:app/a/b", "other")[2], "count", b"cut")
    answer = CliRunner().invoke(app, ["state", "dump", "--prefix", "test"])
    assert answer.exit_code == 1
    assert "app/a/b/quota.count = 7" in answer.stdout, "what can be read is there"
    assert "the value of app/a/b/other.count in the store is not of its type" in answer.stderr


def test_a_dump_takes_no_more_memory_the_more_there_is(quota: Instance) -> None:
    """Of 200,000 entries, which take 60 MB in Python, under a limit that leaves room for a few thousand."""
    for part in range(20):
        quota.commit(
            *(put(b"%d %s" % (number, b"x" * 100), number) for number in range(part * 10_000, (part + 1) * 10_000))
        )
    command = [*APPNETCTL, "state", "dump", "-o", "json", "--prefix", "test"]
    small = _peak([*command, "quota.count"])
    with subprocess.Popen([*command, "quota.used"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        keys = {json.loads(line)["key"] for line in process.stdout}
    assert len(keys) == 200_002
    assert _peak([*command, "quota.used"]) < small + (16 << 20)


def _peak(command: list[str]) -> int:
    """The most memory that the command has, in bytes."""
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    run = subprocess.run(["python3", "-c", script, *command], stdout=subprocess.PIPE, text=True, check=True)
    return int(run.stdout) << 10


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (b'say "x"\n', STRING),
        (b"\xff\0", BYTES),
        (b"!!binary no", STRING),
        (b"007", STRING),
        (-(2**63), INT),
        (2**64 - 1, UINT),
        (float("-inf"), FLOAT),
        (float("nan"), FLOAT),
        (0.1, FLOAT),
        (True, BOOL),
        (1_764_261_996_123_000_001, INSTANT),
        ({b"a": (1, [2.5, float("inf")])}, MapType(STRING, PairType(INT, VecType(FLOAT)))),
        ({5: b"\xfe"}, MapType(INSTANT, BYTES)),
    ],
    ids=str,
)
def test_values_are_read_as_they_are_printed(value: Value, type_: Type) -> None:
    assert same_value(read_stored(stored_text(value, type_), type_), value)
    json.dumps(stored_data(value, type_), allow_nan=False)
    assert type_named(str(type_)) == type_


@pytest.mark.parametrize("text", ["", "Map<int>", "Vec<>", "Vec<int", "number", "Map<int, int, int>", "<int>"])
def test_what_is_no_type_has_no_name(text: str) -> None:
    assert type_named(text) is None


def test_what_is_told_of_wrong_ones(quota: Instance, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    client = quota.client
    for name in ("newer", "broken", "typed"):
        Instance(client, name, "1").join()
    for edge in ("test:app/c/d", "test:app/e/f"):
        client.hset(state_keys(edge, "twice")[0], mapping={"format": "1", "kind:count": "int"})
    client.hset(state_keys("test:app/a/b", "newer")[0], "format", "2")
    client.hset(state_keys("test:app/a/b", "typed")[0], "kind:count", "quaternion")
    for part in (2, 3):
        key = state_keys("test:app/a/b", "broken")[part]
        client.delete(key)
        client.set(key, "something else")
    (tmp_path / "password").write_text("none\n")
    url, told = str(client.connection_pool.connection_kwargs["path"]), []
    for line in re.findall(r"^\$ appnetctl (.*)$", WRONG.read_text(), re.MULTILINE):
        words = [it.replace("PASSWORD", str(tmp_path / "password")) for it in line.split()]
        environment = {"APPNET_STORE": f"unix://{url}", "COLUMNS": "80"}
        answer = CliRunner().invoke(
            app, [words[0], "--prefix", "test", *words[1:]], prog_name="appnetctl", env=environment
        )
        assert isinstance(answer.exception, SystemExit), (line, answer.exception)
        text = (answer.stdout + answer.stderr).replace(url, "/store.sock").replace(str(tmp_path), "")
        told.append(f"$ appnetctl {line}\n{text}[exit code {answer.exit_code}]\n")
    snapshots.compare("\n".join(told), WRONG, request)
