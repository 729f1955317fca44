"""Fields that a configuration calls secret are those that the .proto could mark itself."""

from __future__ import annotations

import re

import pytest

from appnet.application.load import BoundMethod, load
from appnet.diagnostics.source import MemorySource

PROTO = """
syntax = "proto3";
package shop.v1;
service Accounts {
  rpc Enter(Login) returns (Session);
  rpc Leave(Session) returns (Session);
}
message Login {
  oneof who { User user = 1; string key = 2; }
  repeated User friends = 3;
  map<string, User> family = 4;
  map<string, string> notes = 5;
}
message User {
  string name = 1;
  optional string password = 2;
  User boss = 3;
  message Card { repeated int64 number = 1; }
  Card card = 4;
}
message Session { string token = 1; User user = 2; }
"""
CONFIG = """
apiVersion: api.core.appnet.io/v1
kind: AppNetConfig
metadata: {name: it}
spec:
  processors: [sidecar]
  appName: shop
  clientService: frontend
  serverService: server
  method: '*'
  appManifestFile: manifest.yaml
  clientChain: [{name: pass, file: pass.appnet}]
  proto: it.proto
"""
MANIFEST = "".join(
    f"---\n{{apiVersion: v1, kind: Service, metadata: {{name: {it}}}, spec: {{ports: [{{port: 80}}]}}}}\n"
    for it in ("frontend", "server", "back")
)
PASS = "state:\n    pass\ninit():\n    pass\nreq(rpc):\n    send(rpc, Down)\nresp(rpc):\n    send(rpc, Up)\n"


def methods(proto: str, config: str = CONFIG) -> tuple[BoundMethod, ...]:
    texts = {"it.yaml": config, "it.proto": proto, "manifest.yaml": MANIFEST, "pass.appnet": PASS}
    (chain,) = load(MemorySource("it.yaml", texts)).chains
    return chain.methods


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        ("User.password", ["password = 2"]),
        ("shop.v1.User.password", ["password = 2"]),
        (".shop.v1.User.password", ["password = 2"]),
        ("password", ["password = 2"]),
        ("Login.user, Session.token", ["user = 1", "token = 1"]),
        ("Login.family, Login.notes", ["family = 4", "notes = 5"]),
        ("Card.number, Login.key, Login.friends", ["number = 1", "key = 2", "friends = 3"]),
        ("User.card", ["card = 4"]),
    ],
)
def test_it_is_as_if_the_proto_said_so(names: str, fields: list[str]) -> None:
    marked = PROTO
    for it in fields:
        marked, found = re.subn(rf"\b{it};", f"{it} [debug_redact = true];", marked)
        assert found == 1
    here, there = methods(marked), methods(PROTO, f"{CONFIG}  secretFields: [{names}]\n")
    assert [it.signature for it in there] == [it.signature for it in here] != [it.signature for it in methods(PROTO)]


def test_files_with_other_secrets_share_nothing() -> None:
    other = CONFIG.replace("Service: frontend", "Service: back").replace("Service: server", "Service: frontend")
    texts = {"it.yaml": f"{CONFIG}  secretFields: [User.name]\n---{other}", "it.proto": PROTO}
    first, second = load(MemorySource("it.yaml", {**texts, "manifest.yaml": MANIFEST, "pass.appnet": PASS})).chains
    assert [it.signature for it in second.methods] == [it.signature for it in methods(PROTO)]
    assert first.method.request.field("user.name").secret
    assert first.method != second.method
