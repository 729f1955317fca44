"""`appnetctl reflect`: the methods of a server that runs, for where a .proto is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.application.proto import load_proto
from appnet.application.reflection import ReflectionError, reflected
from appnet.cli.errors import check_new, open_screens, told_errors, writing
from appnet.cli.options import address_given
from appnet.diagnostics.source import FileSource


def command(
    server: Annotated[str, typer.Argument(metavar="HOST:PORT", help="A gRPC server with reflection.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("server.binpb"),
) -> None:
    """Get the services of a running server by reflection, and write them as a descriptor set, for use as `proto`."""
    screens = open_screens()
    with told_errors(ReflectionError):
        check_new(output, "choose another file, or remove this one: `appnetctl reflect` does not overwrite files")
        content = reflected(address_given(server, "HOST:PORT")).SerializeToString()
        with writing(output):
            output.write_bytes(content)
        for method in load_proto(FileSource(output)).methods():
            screens.out.print(method, markup=False)
    screens.err.print(f"wrote {output}", markup=False)
