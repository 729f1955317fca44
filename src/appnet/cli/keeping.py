"""Options of commands that keep telemetry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.application import limits
from appnet.cli.options import seconds_given
from appnet.observe.forward import Collector
from appnet.observe.kept import Keep

_LEAST, _MOST = 16 << 20, 1 << 40
USUAL_KEEP, USUAL_BYTES = 86_400.0, 1 << 30


def _bytes(text: str) -> int:
    found = limits.size(str(text), _MOST)  # the default is a number
    if found is None or found < _LEAST:
        raise typer.BadParameter(f"{text!r} is not a size from 16 MiB to 1 TiB, such as `1GiB`")
    return found


def _keep(text: str) -> float:
    found = seconds_given(str(text))
    if not found:
        raise typer.BadParameter(f"{text!r} would keep nothing: write how long, such as `1h`")
    return found


def _collector(text: str) -> Collector:
    try:
        return Collector.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, such as http://otel:4318 or grpc://otel:4317") from None


StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store", file_okay=False, help="Keep records and counts in this folder, beyond the end; default: until then."
    ),
]
KeepOption = Annotated[
    float,
    typer.Option(
        "--keep", parser=_keep, metavar="TIME", show_default="24h", help="How long records and counts are kept."
    ),
]
KeepBytesOption = Annotated[
    int,
    typer.Option(
        "--keep-bytes",
        parser=_bytes,
        metavar="SIZE",
        show_default="1GiB",
        help="How much of the disk they may take: then the oldest go.",
    ),
]


GrpcOption = Annotated[
    str | None, typer.Option("--records-grpc", metavar="HOST:PORT", help="Where records are taken over gRPC as well.")
]
ForwardOption = Annotated[
    Collector | None,
    typer.Option(
        "--forward",
        parser=_collector,
        metavar="URL",
        help="Send all on to this collector: http:, https:, grpc:, grpcs:.",
    ),
]


def keep_given(store: Path | None, folder: Path, keep: float, keep_bytes: int) -> Keep:
    """What these options say. ``folder``: of this run, which goes with it."""
    return Keep(store if store is not None else folder / "telemetry", keep, keep_bytes)
