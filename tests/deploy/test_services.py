"""Application files: what they say, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.deploy.local.services import Port, read_local_application
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource

KNOWN = {"server": 0, "frontend": 0}
SERVER = "services:\n  server:\n    command: ./server\n    port: PORT\n"


def written(folder: Path, text: str) -> FileSource:
    file = folder / "local.yaml"
    file.write_text(text)
    return FileSource(file)


def test_what_a_service_says(tmp_path: Path) -> None:
    text = """
services:
  frontend:
    command: python front.py --greet 'hello you' $PORT
    folder: programs
    port: {printed: 'at .*:([0-9]+)'}
    upstreams: {server: SERVER_ADDRESS}
    environment: {RETRIES: 010, VERBOSE: yes, SHARE: 1.10}
    health: /healthz
    replicas: 2
    startupSeconds: 5
"""
    (tmp_path / "programs").mkdir()
    it = read_local_application(written(tmp_path, text), KNOWN).services["frontend"]
    assert it.command == ("python", "front.py", "--greet", "hello you", "$PORT")
    assert it.folder == tmp_path / "programs"
    assert it.port.printed is not None
    assert it.port.printed.groups == 1
    assert {name: variable.value for name, variable in it.upstreams.items()} == {"server": "SERVER_ADDRESS"}
    assert it.environment == {"RETRIES": "010", "VERBOSE": "yes", "SHARE": "1.10"}, "as they are written"
    assert (it.health, it.replicas, it.startup_seconds) == ("/healthz", 2, 5.0)


def test_what_is_usual(tmp_path: Path) -> None:
    it = read_local_application(written(tmp_path, SERVER), KNOWN).services["server"]
    assert (it.health, it.replicas, it.port, it.upstreams) == ("tcp", None, Port(variable="PORT"), {})


@pytest.mark.parametrize(
    ("text", "code", "title"),
    [
        ("[]", "C012", "not an application file"),
        ("", "C012", "not an application file"),
        ("services: {}\n---\nservices: {}", "C012", "not an application file"),
        ("service: {}", "C010", "unknown key `service`"),
        ("calls: []", "C011", "`services` is missing"),
        (SERVER.replace("server:", "servre:"), "C040", "no service `servre`"),
        (SERVER.replace("    port: PORT\n", ""), "C011", "`port` is missing"),
        (SERVER.replace("PORT", "0"), "C012", "`port` must be a variable or a number"),
        (SERVER.replace("PORT", "70000"), "C012", "`port` must be a variable or a number"),
        (SERVER.replace("PORT", "a-b"), "C012", "`port` must be a variable or a number"),
        (SERVER.replace("PORT", "{printed: 'no group'}"), "C012", "`printed` must have one group"),
        (SERVER.replace("PORT", "{printed: '('}"), "C012", "`printed` is not a valid pattern"),
        (SERVER.replace("PORT", "{printed: '(a)(?=b)'}"), "C012", "`printed` is not a valid pattern"),
        (SERVER.replace("./server", "python 'server.py"), "C012", "the command cannot be read"),
        (SERVER.replace("    command: ./server\n", ""), "C011", "`command` is missing"),
        (SERVER.replace("./server", "[python, [server]]"), "C012", "a word of the command is not a string"),
        (SERVER + "    health: ping\n", "C012", "unknown health check"),
        (SERVER + "    replicas: 0\n", "C012", "`replicas` must be a number"),
        (SERVER + "    upstreams: {other: OTHER}\n", "C040", "no service `other`"),
        (SERVER + "    upstreams: {frontend: a-b}\n", "C012", "not a variable name"),
        (SERVER + "    environment: {A-B: c}\n", "C012", "`A-B` is not a variable name"),
        (SERVER + '    environment: {A: "x\\0y"}\n', "C012", "`A` must be a string"),
        (SERVER + "    environment: {A: [1]}\n", "C012", "`A` must be a string"),
        (SERVER + "    environment: {PORT: '1'}\n", "C013", "`PORT` is set twice"),
        (SERVER + "    environment: {APPNET_INSTANCE: x}\n", "C013", "`APPNET_INSTANCE` is set twice"),
        (SERVER + "    upstreams: {frontend: PORT}\n", "C013", "`PORT` is set twice"),
        (SERVER + "    upstreams: {frontend: F}\n    environment: {F: x}\n", "C013", "`F` is set twice"),
        (SERVER + "    folder: nowhere\n", "C033", "`folder` is not a folder"),
        (SERVER.replace("./server", '[python, "a\\0b"]'), "C012", "a word of the command is not a string"),
        (
            "services:\n  server: {command: a, port: 90}\n  frontend: {command: b, port: 90}\n",
            "C012",
            "two services have port 90",
        ),
        (SERVER + "calls: [1]\n", "C012", "a call must be a mapping"),
        (SERVER + "calls: [{get: x, service: server}]\n", "C012", "`get` must be a path"),
        (SERVER + "calls: [{get: /, service: frontend}]\n", "C040", "no service `frontend`"),
        (SERVER + "calls: [{get: /}]\n", "C011", "`service` is missing"),
        (SERVER + "calls: [{get: /, service: server, sends: {Body: x}}]\n", "C011", "`method` is missing"),
    ],
)
def test_what_is_wrong_is_told_with_a_remedy(tmp_path: Path, text: str, code: str, title: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_local_application(written(tmp_path, text), KNOWN)
    first = caught.value.diagnostics[0]
    assert (first.code, first.title) == (code, title)
    assert first.help
