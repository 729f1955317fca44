"""The examples of the built-ins as elements, each on a method of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from appnet.diagnostics.source import TextSource
from appnet.ir.compile import compile_element
from appnet.ir.nodes import Element
from appnet.language.messages import MethodSignature
from appnet.language.operations.registry import BUILT_INS, OPERATIONS
from tests.support.programs import program
from tests.support.sample import SAMPLE

STATE = ("seen: Map<string, int>", "items: Vec<int>", "loads: Vec<float>")
SEED, BACKENDS, NOW_NS = 1, 3, 5_000_000_000


def method_of(name: str) -> MethodSignature:
    """The method that the example of the operation runs on."""
    return replace(SAMPLE, full_name=f"/sample.Probe/{name}")


FORMS = {
    f"form_{number}": form.example
    for number, form in enumerate(form for it in dict.fromkeys(BUILT_INS.values()) for form in it.forms)
    if form.example
}
"""The examples of ways to call functions that become no operation, each with a name for its method."""


def compiled(name: str, example: str | None = None) -> Element:
    """The element of the operation's example, or of another one: it forwards where the last line holds."""
    text = OPERATIONS[name].example if example is None else example
    *before, truth = text.replace(SAMPLE.full_name, method_of(name).full_name).splitlines()
    body = "\n".join([*before, f"if not ({truth}):", "    send(err('it does not hold'), Up)"])
    state = "\n".join(STATE)
    in_req = name not in OPERATIONS or OPERATIONS[name].block == "req"
    source = program(body, state=state) if in_req else program(resp=body, state=state)
    return compile_element(TextSource(Path("example.appnet"), source), method_of(name), name=f"of_{name}").element
