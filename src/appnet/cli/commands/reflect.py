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
    """Ask a running server for its services, and write them as a descriptor set, to be named as `proto`."""
    screens = open_screens()
    with told_errors(ReflectionError):
        check_new(output, "name another file, or remove this one: `appnetctl reflect` overwrites nothing")
        content = reflected(address_given(server, "HOST:PORT")).SerializeToString()
        with writing(output):
            output.write_bytes(content)
        for method in load_proto(FileSource(output)).methods():
            screens.out.print(method, markup=False)
    screens.err.print(f"written: {output}", markup=False)
