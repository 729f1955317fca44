"""`appnetctl reflect`: the methods of a server that runs, for where a .proto is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.application.proto import load_proto
from appnet.cli.errors import check_new, open_screens, told_errors, writing
from appnet.cli.options import address_given
from appnet.cli.output import Format, OutputOption, print_data
from appnet.diagnostics.source import FileSource
from appnet.system.files import write_whole

EXAMPLES = ("appnetctl reflect 127.0.0.1:50051 -w server.binpb",)
PAGE = "tools.md"


def command(
    server: Annotated[str, typer.Argument(metavar="HOST:PORT", help="A gRPC server with reflection.")],
    *,
    write: Annotated[Path, typer.Option("--write", "-w", help="The file to write.")] = Path("server.binpb"),
    output: OutputOption = Format.TEXT,
) -> None:
    """Get the services of a running server by reflection, and write them as a descriptor set, for use as `proto`."""
    from appnet.application.reflection import ReflectionError, reflected  # noqa: PLC0415 -- gRPC takes a while to load

    screens = open_screens()
    with told_errors(ReflectionError):
        check_new(write, "choose another file, or remove this one: `appnetctl reflect` does not overwrite files")
        content = reflected(address_given(server, "HOST:PORT")).SerializeToString()
        with writing(write):
            write_whole(write, content)
        methods = load_proto(FileSource(write)).methods()
    if output is Format.TEXT:
        screens.out.print("\n".join(methods), markup=False)
    else:
        print_data({"methods": list(methods), "file": str(write)}, output)
    screens.err.print(f"wrote {write}", markup=False)
