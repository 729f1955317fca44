"""YAML files in an editor: what is wrong with them as somebody types, and what could stand there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lsprotocol import types as lsp

from appnet.diagnostics.source import TextSource
from appnet.editor.yaml_text import YamlText
from tests.editor.conversation import actions, applied, editor, edits_of
from tests.support.asynchronous import asynchronous

ECHO = Path(__file__).parents[2] / "config" / "samples" / "echo"
CONFIG = (ECHO / "sample_echo_sidecar.yaml").read_text(encoding="utf-8")
HEAD = CONFIG[: CONFIG.index("  clientChain")]
SPECIFICATION = "app_name: echo\napp_manifest: echo.yaml\napp_structure:\n  - frontend->server\nedge:\n  "


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ECHO, tmp_path / "echo"))


def offered(file: Path, text: str) -> list[str]:
    """What is offered at the end of the text."""
    lines = text.split("\n")
    yaml = YamlText(TextSource(file, text), lambda _: [])
    return [it.insert or it.text for it in yaml.completions(len(lines), len(lines[-1]) + 1)]


ELEMENTS = ["fault.appnet", "firewall.appnet", "logging.appnet", "metrics.appnet"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("  serverChain:\n    - ", ["name: ", "file: ", "inline: ", "fileFrom:", "parameters:"]),
        ("  serverChain:\n  - ", ["name: ", "file: ", "inline: ", "fileFrom:", "parameters:"]),
        ("  serverChain:\n    - name: a\n      ", ["file: ", "inline: ", "fileFrom:", "parameters:"]),
        (
            "  serverChain:\n    - name: a\n      file: fault.appnet\n      par",
            ["inline: ", "fileFrom:", "parameters:"],
        ),
        ("  serverChain:\n    - file: ", ELEMENTS),
        ("  serverChain:\n    - file: fault.appnet\n      name: ", ["fault"]),
        ("  serverChain:\n    - name: fi", ["fault", "firewall", "logging", "metrics"]),
        ("  serverChain:\n    - file: firewall.appnet\n      parameters:\n        ", []),
        ("  serverChain:\n    - file: limit.appnet\n      parameters:\n        ", ["most:", "seconds:"]),
        ("  proto: ", ["echo.proto"]),
        ("  proto: echo.proto\n  method: ", ["echo", "'*'"]),
        ("  proto: echo.proto\n  method:\n    - ", ["echo", "'*'"]),
        ("  proto: nothing.proto\n  method: ", []),
        ("  proto: echo.proto\n  secretFields:\n    - ", ["Msg.Body"]),
        ("  processors:\n    - ", ["grpc", "mrpc", "sidecar", "ambient"]),
        ("  delivery: ", ["controller", "manifest"]),
        ("  rollout:\n    ", ["canary: ", "wait: ", "paused: "]),
        ("  protoFrom:\n    configMapKeyRef:\n      ", ["name: ", "key: "]),
        ("  serverService: ", ["frontend", "server"]),
        ("  serverService:", [" frontend", " server"]),
        ("  # serverService: ", []),
        ("  nothing:\n    ", []),
    ],
)
def test_what_is_offered_in_an_appnetconfig(echo: Path, written: str, expected: list[str]) -> None:
    limit = "state:\n    pass\ninit(most, seconds = 1):\n    pass\nreq(rpc):\n    pass\nresp(rpc):\n    pass\n"
    (echo / "limit.appnet").write_text(limit)
    found = [it for it in offered(echo / "it.yaml", HEAD + written) if "limit" not in it]
    assert found == expected


def test_keys_that_are_there_are_not_offered_again(echo: Path) -> None:
    found = offered(echo / "it.yaml", HEAD + "  ")
    assert {"clientChain:", "proto: "} <= set(found)
    assert not {"appName: ", "method: ", "processors:"} & set(found)


def test_folders_are_gone_through(echo: Path) -> None:
    (echo / "inner").mkdir()
    (echo / "inner" / "one.appnet").write_text("")
    assert offered(echo / "it.yaml", HEAD + "  serverChain:\n    - file: inner/") == ["inner/one.appnet"]
    assert "inner/" in offered(echo / "it.yaml", HEAD + "  serverChain:\n    - file: ")
    assert offered(echo / "it.yaml", HEAD + "  serverChain:\n    - file: nowhere/") == []


def test_what_is_offered_in_a_specification(echo: Path) -> None:
    assert offered(echo / "it.yaml", SPECIFICATION) == ["frontend->server:"]
    entry = SPECIFICATION + "frontend->server:\n    - "
    assert "path: " in offered(echo / "it.yaml", entry)
    assert offered(echo / "it.yaml", f"{entry}path: ") == ELEMENTS
    assert {"client", "server", "any"} <= set(offered(echo / "it.yaml", f"{entry}position: "))


def test_what_is_offered_in_behaviour_files_and_local_yaml(echo: Path) -> None:
    steps = "cases:\n  - name: it\n    steps:\n      - request: {body: a}\n        "
    assert {"refuses: ", "forwards: ", "times: "} <= set(offered(echo / "it.behaviour.yaml", steps))
    assert "PERMISSION_DENIED" in offered(echo / "it.behaviour.yaml", f"{steps}refuses: ")
    assert offered(echo / "local.yaml", "services:\n  ") == ["frontend:", "server:"]
    assert {"command: ", "port: ", "environment:"} <= set(offered(echo / "local.yaml", "services:\n  server:\n    "))
    assert offered(echo / "local.yaml", "services:\n  server:\n    health: ") == ["tcp", "grpc"]


def test_files_of_others_are_left_alone(echo: Path) -> None:
    assert offered(echo / "it.yaml", "apiVersion: v1\nkind: Service\nspec:\n  ") == []


@pytest.mark.e2e
@asynchronous
async def test_a_configuration_is_checked_as_it_is_typed(echo: Path) -> None:
    async with editor() as it:
        document = it.open(echo / "sample_echo_sidecar.yaml", "yaml")
        assert await it.diagnostics() == []
        wrong = CONFIG.replace("serverService:", "serverServise:")
        it.change(document, wrong)
        told = await it.diagnostics()
        assert [known.code for known in told] == ["C011", "C010"]
        action = (await actions(it, document, told[1].range.start))["Write `serverService`"]
        it.change(document, applied(wrong, edits_of(action.edit, document)))
        assert await it.diagnostics() == []

        typed = HEAD + "  serverChain:\n    - name: firewall\n      file: fire"
        it.change(document, typed)
        assert "C033" in await it.told()
        place = lsp.Position(typed.count("\n"), len(typed) - typed.rfind("\n") - 1)
        items = await it.client.text_document_completion_async(lsp.CompletionParams(document, place))
        assert isinstance(items, list)
        (item,) = (known for known in items if known.label == "firewall.appnet")
        assert isinstance(item.text_edit, lsp.TextEdit)
        it.change(document, applied(typed, [item.text_edit]) + "\n  proto: echo.proto\n")
        assert await it.diagnostics() == []

        key = lsp.Position(HEAD.count("\n"), 4)
        assert await it.hover(document, key) == "`serverChain`: Elements on the server's side, in request order."


@pytest.mark.e2e
@asynchronous
async def test_behaviour_files_and_local_yaml_are_checked_as_they_are_typed(echo: Path) -> None:
    async with editor() as it:
        for name, right, wrong, code in (
            ("sample_echo_sidecar.behaviour.yaml", "refuses: ABORTED", "refuses: ABORTD", "C073"),
            ("local.yaml", "port:", "prt:", "C010"),
        ):
            text = (echo / name).read_text(encoding="utf-8")
            document = it.open(echo / name, "yaml")
            assert await it.diagnostics() == []
            it.change(document, text.replace(right, wrong, 1))
            assert code in await it.told()
            it.change(document, text)
            assert await it.diagnostics() == []
