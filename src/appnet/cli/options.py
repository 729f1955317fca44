"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appnet.application import limits
from appnet.cli.elements import given_parameters
from appnet.cli.values import completing, none_of
from appnet.language import Given
from appnet.optimize import Algorithm
from appnet.optimize.placement import OptLevel
from appnet.processors import registry
from appnet.system.address import MAX_PORT, Address

ENVOY = "envoy"
"""The backend of the processors that a cluster or a Compose file sets up, whatever they are."""

_COMPILED_TO = "Compile elements to this target, if their processor supports it."


AS_WRITTEN = "envoy"
"""The backend that leaves chains where the application has them, which is on Envoys where it says nothing."""
BACKENDS = (AS_WRITTEN, *registry.ENTRIES)


def _backend(name: str) -> str:
    if name in BACKENDS:
        return name
    raise typer.BadParameter(f"{name!r} is not a backend; use one of {', '.join(BACKENDS)}")


def target_named(name: str) -> str:
    """The name, if it is that of a target."""
    if name not in registry.target_names():
        raise typer.BadParameter(none_of(name, registry.target_names()))
    return name


def _size(text: str) -> int:
    found = limits.size(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not {limits.SIZE}")
    return found


def _share(text: str) -> float:
    found = limits.share(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not {limits.SHARE}")
    return found


def seconds_given(text: str) -> float:
    """A time that an option gives."""
    found = limits.seconds(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not {limits.TIME}")
    return found


BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        "-b",
        parser=_backend,
        metavar="|".join(BACKENDS),
        autocompletion=completing(BACKENDS),
        help="Where all chains are to run; envoy: where the application says, or else on sidecars.",
    ),
]
FilesArgument = Annotated[list[Path], typer.Argument(help="The application: a specification or AppNetConfigs (.yaml).")]
TargetOption = Annotated[
    str,
    typer.Option(
        "--target",
        parser=target_named,
        metavar="|".join(registry.target_names()),
        autocompletion=completing(registry.target_names()),
        help=_COMPILED_TO,
    ),
]
ConcurrencyOption = Annotated[int, typer.Option("--concurrency", min=1, max=64, help="Worker threads per proxy.")]
MaxMessageOption = Annotated[
    int | None,
    typer.Option(
        "--max-message", parser=_size, metavar="SIZE", help="The largest message that elements read: `16MiB`."
    ),
]
IdleTimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--idle-timeout", parser=seconds_given, metavar="TIME", help="End calls that are silent for this long: `90s`."
    ),
]
TracesOption = Annotated[
    float | None,
    typer.Option(
        "--traces", parser=_share, metavar="SHARE", help="Trace this share of calls whose callers do not decide: `1%`."
    ),
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option("--parameter", metavar="NAME=VALUE", help="A parameter of the element's init; repeatable."),
]
StdinFilenameOption = Annotated[
    Path | None,
    typer.Option(
        "--stdin-filename", help="The file that - stands for: messages name it, and applications near it count."
    ),
]
LevelOption = Annotated[OptLevel, typer.Option("--opt-level", help="What must stay the same when elements move.")]
AlgorithmOption = Annotated[Algorithm, typer.Option("--opt-algorithm", help="How to choose the plan.")]
ProfileOption = Annotated[
    Path | None, typer.Option("--profile", help="Observed traffic: rates of chains, and shares that elements refuse.")
]
PricesOption = Annotated[
    Path | None, typer.Option("--prices", help="Prices of RPCs, measured by `appnetctl calibrate`.")
]


UpstreamOption = Annotated[
    list[str] | None,
    typer.Option(
        "--upstream", metavar="SERVICE=HOST:PORT", help="The address of a service that already runs; repeatable."
    ),
]


ControlOption = Annotated[str, typer.Option(metavar="HOST:PORT", help="The control plane's address.")]
RecordsOption = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to send records.")]
StatusOption = Annotated[str, typer.Option(metavar="HOST:PORT", help="The `--status` of `serve`.")]


def upstreams_given(texts: list[str] | None) -> dict[str, tuple[Address, ...]]:
    """The addresses that an `UpstreamOption` gives, by service."""
    found: dict[str, tuple[Address, ...]] = {}
    for text in texts or ():
        service, equals, address = text.partition("=")
        parsed = _address(address)
        if not equals or not service or parsed is None:
            message = f"{text!r} is not SERVICE=HOST:PORT, such as server=127.0.0.1:50051"
            raise typer.BadParameter(message, param_hint="--upstream")
        try:
            found[service] = (*found.get(service, ()), parsed.resolved())
        except OSError as error:
            raise typer.BadParameter(f"{text!r}: {error.strerror}", param_hint="--upstream") from None
    return found


CONTROL, RECORDS, STATUS = "127.0.0.1:18000", "127.0.0.1:18001", "127.0.0.1:18002"
"""Where `serve` listens by default: for nodes, for their records, and for who asks how it is."""
PROGRAMS = "127.0.0.1:18003"
"""And for programs that have chains inside, where an application has proxies, too."""


def _address(text: str, *, any_port: bool = False) -> Address | None:
    try:
        found = Address.parse(text)
    except ValueError:
        return None
    return found if (0 if any_port else 1) <= found.port <= MAX_PORT else None


def address_given(text: str, option: str, *, any_port: bool = False) -> Address:
    """The address that an option gives; port 0, a free one, where ``any_port`` says that it may."""
    found = _address(text, any_port=any_port)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:18000", param_hint=option)
    return found


def check_method(method: str, proto: Path | None) -> None:
    """Raises ``typer.BadParameter`` for a method of no .proto."""
    if method and proto is None:
        raise typer.BadParameter("--method needs a .proto: add --proto FILE")


def given_by(parameters: list[str] | None) -> dict[str, Given]:
    """The parameters that a `ParameterOption` gives."""
    try:
        return given_parameters(parameters or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--parameter") from None
