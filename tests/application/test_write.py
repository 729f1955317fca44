"""Each form written as the other: what is read again is the same, and what a form cannot say is told."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from appnet.application.load import form_of, load, read_applications
from appnet.application.model import Application, Form
from appnet.application.write import write
from appnet.diagnostics.diagnostic import DiagnosticError
from appnet.diagnostics.source import FileSource, MemorySource, TextSource
from tests.support import snapshots
from tests.support.applications import said

BAD = Path(__file__).parent / "bad" / "conversions"
SAMPLES = [
    *sorted(it for it in Path("config/samples").rglob("*.yaml") if "kind: AppNetConfig" in it.read_text()),
    *sorted(Path("examples/chain").glob("*.yaml")),
]
CANNOT_BE_SAID = {Path("examples/chain/hotel.yaml"): ["C026"]}
"""Specifications that AppNetConfigs cannot say whole, with what is told of them."""


def converted(application: Application, form: Form) -> Application:
    """The application in the form, read again from another folder."""
    folder = Path("docs")
    text = write(application, form, folder).text
    return load(TextSource(folder / "converted.yaml", text)).application


def other(form: Form) -> Form:
    return next(it for it in Form if it is not form)


@pytest.mark.parametrize("file", [it for it in SAMPLES if it not in CANNOT_BE_SAID], ids=lambda it: it.stem)
def test_both_ways(file: Path) -> None:
    source = FileSource(file)
    form = form_of(source)
    here = load(source).application
    there = converted(here, other(form))
    assert said(there, edges=False) == said(here, edges=False)
    back = converted(there, form)
    assert said(back, edges=False) == said(here, edges=False)
    assert said(converted(here, form)) == said(here), "in its own form"


@pytest.mark.parametrize("file", CANNOT_BE_SAID, ids=lambda it: it.stem)
def test_what_cannot_be_said_is_told(file: Path) -> None:
    application = load(FileSource(file)).application
    with pytest.raises(DiagnosticError) as caught:
        write(application, Form.APPNETCONFIG, Path())
    assert [it.code for it in caught.value.diagnostics] == CANNOT_BE_SAID[file]
    assert said(converted(application, Form.SPECIFICATION)) == said(application)


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda it: it.stem)
def test_diagnostics(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    shutil.copytree(BAD.parent, tmp_path / "bad")
    monkeypatch.chdir(tmp_path / "bad" / "conversions")
    source = FileSource(Path(path.name))
    application = load(source).application
    try:
        text = "\n\n".join(it.render() for it in write(application, other(form_of(source)), Path()).left_out)
    except DiagnosticError as error:
        text = str(error)
    assert text
    snapshots.compare(text, path.with_suffix(".yaml.txt"), request)


ALL_THAT_CAN_BE_SAID = """
apiVersion: api.core.appnet.io/v1
kind: AppNetConfig
metadata: {name: all}
spec:
  processors: [sidecar]
  appName: echo
  clientService: frontend
  serverService: server
  method: '*'
  appManifestFile: echo.yaml
  clientChain: [{name: a, file: ../elements/timeout.appnet, parameters: {limit: 0.5}}]
  anyChain: [{name: b, file: ../elements/timeout.appnet, parameters: {limit: 1}}, {name: c, file: firewall.appnet}]
  pairChain:
    - {name: d, file: firewall.appnet}
    - {name: e, file: firewall.appnet}
    - {name: f, file: firewall.appnet}
    - {name: g, file: firewall.appnet}
  serverChain: [{name: h, file: ../elements/timeout.appnet, parameters: {limit: '1'}}]
  proto: echo.proto
  protoRoots: [../hotel, .]
  protoModName: example.com/echo
  protoModLocation: ../go
  maxMessage: 16MiB
  idleTimeout: 1.5m
  traces: 0.5%
  secretFields: [Msg.Body]
  replan: {mode: auto, interval: 90, saving: 12.5%}
  state: {store: "rediss://state.example:6379/2", prefix: shop, timeout: 20ms, mergeEvery: 0.5, secret: password}
"""


def test_everything_that_both_forms_can_say() -> None:
    source = TextSource(Path("config/samples/echo/all.yaml"), ALL_THAT_CAN_BE_SAID)
    here = load(source).application
    there = converted(here, Form.SPECIFICATION)
    back = converted(there, Form.APPNETCONFIG)
    expected = said(here)
    expected["chains"][0]["module"] = ("example.com/echo", "../config/samples/go")
    assert said(there) == said(back) == expected


NAMED = {"manifest.yaml": "", "it.proto": "", "it.appnet": ""}


def specified(positions: list[str], pairs: int) -> Application:
    """The application of a specification with an element at each position, and some pairs."""
    both = {"method": "echo", "proto": "it.proto"}
    listed = [{**both, "name": f"e{it}", "path": "it.appnet", "position": at} for it, at in enumerate(positions)]
    linked = [
        {**both, "name1": f"p{it}", "path1": "it.appnet", "name2": f"q{it}", "path2": "it.appnet"}
        for it in range(pairs)
    ]
    on_edge = {"edge": {"a->b": listed}, "link": {"a->b": linked}}
    top = {"app_name": "it", "app_manifest": "manifest.yaml", "app_structure": ["a->b"]}
    top |= {key: it for key, it in on_edge.items() if it["a->b"]}
    return _only({"it.yaml": yaml.safe_dump(top)})


def _only(text: dict[str, str]) -> Application:
    (application,) = read_applications(MemorySource("it.yaml", {**NAMED, **text}))
    return application


@given(st.lists(st.sampled_from(["client", "any", "server"]), max_size=6), st.integers(0, 2))
def test_an_order_is_kept_or_refused(positions: list[str], pairs: int) -> None:
    try:
        application = specified(positions, pairs)
    except DiagnosticError:  # no order of a request, or no elements at all
        assume(False)
    assert said(_only({"it.yaml": write(application, Form.SPECIFICATION, Path()).text})) == said(application)
    told: list[str] = []
    text = ""
    try:
        text = write(application, Form.APPNETCONFIG, Path()).text
    except DiagnosticError as error:
        told = [it.code for it in error.diagnostics]
    if told:
        assert told == ["C026"]
        assert "any" in positions, "only what is bound to no side can be out of order"
    else:
        assert said(_only({"it.yaml": text})) == said(application)


@pytest.mark.parametrize("form", Form)
def test_a_text_without_a_file_cannot_be_named(form: Form) -> None:
    text = ALL_THAT_CAN_BE_SAID.replace("  proto: echo.proto", '  protoInline: syntax = "proto3";')
    (application,) = read_applications(TextSource(Path("config/samples/echo/all.yaml"), text))
    with pytest.raises(DiagnosticError) as caught:
        write(application, form, Path())
    (it,) = caught.value.diagnostics
    assert (it.code, it.title) == ("C026", "the text of this .proto has no file")
    assert re.fullmatch(r"it is written at config/samples/echo/all.yaml:\d+/service.proto", it.label)
