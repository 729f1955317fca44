"""What wasm proxies of several workers give up, by state class; tests/e2e/test_workers.py shows that they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from appnet.diagnostics.diagnostic import Severity
from appnet.diagnostics.source import FileSource
from appnet.ir import compile_element
from appnet.ir.workers import per_worker, worker_notes
from appnet.language import parse
from tests.support.signatures import ECHO
from tests.support.snapshots import compare

NOTES = sorted((Path(__file__).parent / "notes").glob("*.appnet"))
STANDARD = Path("config/samples/elements")


@pytest.mark.parametrize("target", ["native", "wasm"])
@pytest.mark.parametrize("path", NOTES, ids=lambda it: it.stem)
def test_notes(path: Path, target: str, request: pytest.FixtureRequest) -> None:
    found = worker_notes(compile_element(FileSource(path), ECHO).element, parse(FileSource(path)), target)
    assert all(it.severity is Severity.NOTE and it.label and it.help for it in found)
    text = "\n\n".join(it.render() for it in found).replace(str(path), path.name)
    compare(text, path.with_name(f"{path.stem}.{target}.txt"), request)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("firewall", []),
        ("logging", []),
        ("metrics", []),
        ("timeout", []),
        ("mirror", ["marked"]),
        ("sticky", ["hosts"]),
        ("concurrency_limit", ["inside", "queue", "head", "tail", "rpc_id"]),
    ],
)
def test_what_workers_have_for_themselves(name: str, parts: list[str]) -> None:
    element = compile_element(FileSource(STANDARD / f"{name}.appnet"), ECHO).element
    assert [it.name for it in per_worker(element)] == parts
