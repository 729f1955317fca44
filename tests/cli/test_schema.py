"""The JSON Schemas: they take what the readers take, and know the same keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from typer.testing import CliRunner

from appnet.application import appnet_config, specification
from appnet.behaviour import reader
from appnet.cli.main import app
from appnet.deploy.local import services
from appnet.editor.schema import NAMES, kind_of

CONFIG = Path(__file__).parents[2] / "config"
SPECIFICATIONS = Path(__file__).parents[1] / "application" / "bad" / "conversions"  # nothing is wrong with them as such


def schema(name: str) -> Any:
    answer = CliRunner().invoke(app, ["schema", name])
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    Draft202012Validator.check_schema(found)
    return found


def documents(kind: str) -> list[tuple[str, Any]]:
    found = []
    for file in sorted([*CONFIG.rglob("*.yaml"), *SPECIFICATIONS.glob("*.yaml")]):
        text = file.read_text()
        if kind_of(file.name, text) == kind:
            found += [(file.name, it) for it in yaml.safe_load_all(text)]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_is_taken(name: str) -> None:
    validator = Draft202012Validator(schema(name))
    found = documents(name)
    assert found
    for file, document in found:
        errors = [f"{file}: {it.json_path}: {it.message}" for it in validator.iter_errors(document)]
        assert not errors


@pytest.mark.parametrize("name", NAMES)
def test_a_key_that_no_reader_knows_is_not_taken(name: str) -> None:
    validator = Draft202012Validator(schema(name))
    document = {**documents(name)[0][1], "unknown": 1}
    with pytest.raises(ValidationError, match="unknown"):
        validator.validate(document)


def test_schemas_have_the_readers_keys() -> None:
    config, local, behaviour = (schema(it) for it in ("appnetconfig", "local", "behaviour"))
    assert set(config["properties"]) == set(appnet_config._TOP_KEYS)
    assert set(config["properties"]["spec"]["properties"]) == set(appnet_config._SPEC_KEYS)
    spec = schema("specification")
    assert set(spec["properties"]) == set(specification._TOP_KEYS)
    assert set(spec["$defs"]["element"]["properties"]) == set(specification._ELEMENT_KEYS)
    assert set(spec["$defs"]["pair"]["properties"]) == set(specification._PAIR_KEYS)
    service = local["properties"]["services"]["additionalProperties"]
    assert set(service["properties"]) == set(services._SERVICE_KEYS)
    assert set(local["properties"]["calls"]["items"]["properties"]) == set(services._CALL_KEYS)
    assert set(behaviour["properties"]) == set(reader._TOP_KEYS)
    assert set(behaviour["properties"]["cases"]["items"]["properties"]) == set(reader._CASE_KEYS)
    assert set(behaviour["$defs"]["step"]["properties"]) == set(reader._STEP_KEYS)


def test_a_schema_that_there_is_not() -> None:
    answer = CliRunner().invoke(app, ["schema", "locla"])
    assert answer.exit_code == 2
    assert "'locla' is not one of appnetconfig, specification, local, behaviour; did you mean `local`?" in " ".join(
        answer.stderr.replace("│", " ").split()
    )
