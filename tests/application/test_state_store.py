"""What a configuration says of the store of shared state."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from appnet.application.model import StateStore
from appnet.application.state_store import plain_state_store, read_state_store
from appnet.diagnostics.source import TextSource
from appnet.diagnostics.yaml_reader import Problems, Section


def read(text: str) -> tuple[StateStore, list[str]]:
    problems = Problems(TextSource(Path("app.yaml"), text))
    node = yaml.compose(text)
    assert isinstance(node, yaml.MappingNode)
    return read_state_store(Section(node, problems), "state", "mergeEvery"), [it.title for it in problems.found]


def test_nothing_said_is_the_usual() -> None:
    assert read("other: 1") == (StateStore(), [])
    assert plain_state_store(StateStore(), "mergeEvery") == {}


@pytest.mark.parametrize(
    "address",
    [
        "redis://127.0.0.1:6379",
        "redis://ann:secret@store/3",
        "rediss://[::1]:7000",
        "rediss://store?cacert=/ca.pem&cert=/a.pem&key=/a.key&sni=state.example",
        "redis+sentinel://:secret@one,[::1]:7000/state/2",
        "unix:///run/valkey.sock",
    ],
)
def test_it_is_read_and_written_again(address: str) -> None:
    store = StateStore(address, "shop", 0.02, 0.5, "password")
    plain = plain_state_store(store, "mergeEvery")
    assert read(yaml.safe_dump({"state": dict(plain)})) == (store, [])


@pytest.mark.parametrize(
    "address",
    [
        "http://store:6379",
        "store:6379",
        "redis://",
        "redis://store:99999",
        "redis://a/b",
        "unix://run/a",
        "unix:",
        "redis://a?db=3",
        "redis://a/3#x",
        "redis://a b",
        "redis://a/\u0663",
        "redis://a,b",
        "redis://a?cacert=/a.pem",
        "rediss://a?cacert=a.pem",
        "rediss://a?cert=/a.pem",
        "rediss://a?sni=a&sni=b",
        "rediss://a?insecure=1",
        "rediss://a?sni=#a",
        "redis+sentinel://a",
        "redis+sentinel://a,,b/state",
        "redis+sentinel://a/state/x",
        "rediss+sentinel://a/state",
        "unix+sentinel:///a",
    ],
)
def test_what_is_no_address_is_told(address: str) -> None:
    assert read(f"state: {{store: '{address}'}}") == (StateStore(), ["`store` is not the address of a store"])


@pytest.mark.parametrize("time", ["0", "61s", "true", "-1", "soon"])
def test_what_is_no_time_is_told(time: str) -> None:
    assert read(f"state: {{timeout: {time}}}") == (StateStore(), ["`timeout` must be a time"])


@pytest.mark.parametrize("prefix", ["a b", "'{shop}'", "shop/a", "x" * 101])
def test_what_is_no_prefix_is_told(prefix: str) -> None:
    assert read(f"state: {{prefix: {prefix}}}")[1] == ["invalid `prefix`"]


@pytest.mark.parametrize("secret", ["State_Password", "-a", "a..b", "x" * 254, "shop/password"])
def test_what_is_no_name_of_a_secret_is_told(secret: str) -> None:
    assert read(f"state: {{secret: {secret}}}")[1] == ["invalid `secret`"]


def test_usual_names_are_taken() -> None:
    store, told = read("state: {prefix: 'shop-1:eu', secret: state.password-2}")
    assert (store.prefix, store.secret, told) == ("shop-1:eu", "state.password-2", [])


def test_merges_tell_the_store_often_enough_that_an_instance_is_alive() -> None:
    assert read("state: {mergeEvery: 10s}")[0].merge_every == 10.0
    assert read("state: {mergeEvery: 11s}")[1] == ["`mergeEvery` must be a time"]
