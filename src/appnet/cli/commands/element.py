"""One element compiled by itself: what was inferred about it, and its code, in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from appnet.application.model import Side
from appnet.application.proto import load_proto
from appnet.cli.errors import open_screens, told_errors, writing
from appnet.cli.options import AS_WRITTEN, BackendOption, ParameterOption, given_by
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.properties import properties
from appnet.cli.screen import show_diagnostics
from appnet.cli.views import View, views
from appnet.codegen.c.printer import ChainSource, print_by_content
from appnet.diagnostics.diagnostic import Diagnostic
from appnet.diagnostics.source import FileSource
from appnet.ir import compile_element
from appnet.language import Given
from appnet.processors import registry
from appnet.system.files import write_whole

EXAMPLES = ("appnetctl element --element fault.appnet --proto echo.proto --method echo",)
PAGE = "tools.md"


@dataclass(frozen=True)
class BuiltElement:
    """``properties``: what was inferred, ready for JSON. ``files``: what was written. ``warnings``: of the program."""

    properties: Mapping[str, Any]
    files: list[Path]
    warnings: list[Diagnostic]


def build_element(
    file: Path,
    proto: Path,
    method: str,
    *,
    parameters: Mapping[str, Given],
    backend: str,
    placement: Side,
    folder: Path,
) -> BuiltElement:
    """Compiles the element and writes ``NAME.c``, a file for each target and ``NAME.json`` into ``folder``.

    Raises `DiagnosticError` for what is wrong with the input, or where ``folder`` cannot be written.
    """
    signature = load_proto(FileSource(proto)).method(method)
    compiled = compile_element(FileSource(file), signature, parameters=parameters)
    element = compiled.element
    printed = print_by_content(ChainSource(element.name, "", [(signature, [element])]), "")
    found = {"backend": backend, "placement": placement.value, **properties(element, signature.full_name)}
    content = {f"{element.name}.c": printed.text.encode()}
    for name, (processor, target) in registry.targets().items():
        module = f"{element.name}.{'.'.join([*name.split('/')[:-1], target.suffix])}"
        content[module] = processor.build(printed, target.name)
    content[f"{element.name}.json"] = (json.dumps(found, indent=2) + "\n").encode()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, it in content.items():
            write_whole(folder / name, it)
    return BuiltElement(found, [folder / name for name in content], list(compiled.warnings))


def command(
    *,
    element: Annotated[Path, typer.Option(help="The element (.appnet).")],
    proto: Annotated[Path, typer.Option(help="The .proto that declares its method.")],
    method: Annotated[str, typer.Option("--method", "--method-name", help="The method.")],
    backend: BackendOption = AS_WRITTEN,
    placement: Annotated[Side, typer.Option(help="The side on which it runs.")] = Side.CLIENT,
    parameter: ParameterOption = None,
    write: Annotated[Path, typer.Option("--write", "-w", help="The folder to write to.")] = Path("generated"),
    output: OutputOption = Format.JSON,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show the match-action tables.")] = False,
) -> None:
    """Compile one element: print its inferred properties, and write its code."""
    screens, given = open_screens(), given_by(parameter)
    with told_errors():
        built = build_element(
            element, proto, method, parameters=given, backend=backend, placement=placement, folder=write
        )
        if verbose or output is Format.TEXT:
            for view in views(element, proto, method, given, [View.EFFECTS, View.STATES, View.TABLE]):
                screens.out.print(view)
    show_diagnostics(screens.err, built.warnings)
    if output is not Format.TEXT:
        print_data(dict(built.properties), output)
    for file in built.files:
        screens.err.print(f"wrote {file}", markup=False)
