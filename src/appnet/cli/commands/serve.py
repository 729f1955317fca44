"""`appnetctl serve`: the control plane alone, for proxies that somebody else starts."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from appnet.application.model import Limits
from appnet.cli.errors import Screens, open_screens, told_errors
from appnet.cli.files import application_sources
from appnet.cli.keeping import (
    USUAL_BYTES,
    USUAL_KEEP,
    ForwardOption,
    GrpcOption,
    KeepBytesOption,
    KeepOption,
    StoreOption,
    keep_given,
)
from appnet.cli.live import follow_traffic, show_live, show_nodes, show_plan, together, upgrade_on_save
from appnet.cli.options import (
    CONTROL,
    PROGRAMS,
    RECORDS,
    STATUS,
    ConcurrencyOption,
    FilesArgument,
    IdleTimeoutOption,
    LevelOption,
    MaxMessageOption,
    PricesOption,
    TargetOption,
    TracesOption,
    UpstreamOption,
    address_given,
    upstreams_given,
)
from appnet.cli.planned import where_of
from appnet.cli.screen import show_diagnostics, tell
from appnet.cli.supervise import supervised
from appnet.cli.tls import CertificateOption, DashboardTokenOption, KeyOption, dashboard_token, server_tls, server_token
from appnet.compile.fit import DEFAULT_TARGET
from appnet.deploy.local.machine import LocalMachine, RunSettings, Served
from appnet.deploy.local.program import ApplicationError
from appnet.deploy.local.status import StatusServer
from appnet.optimize import Settings
from appnet.optimize.placement import OptLevel
from appnet.processors.processor import ProcessorError
from appnet.processors.signing import TRUSTED_KEYS, user_key
from appnet.system.address import MAX_PORT, Address
from appnet.system.folders import run_folder

EXAMPLES = ("appnetctl serve app.yaml --upstream server=127.0.0.1:50051",)
PAGE = "local.md"


async def serve_until_told(settings: RunSettings, status: Address, token: str | None, screens: Screens) -> NoReturn:
    """Stays up, tells every node its version as it connects, and brings every save to those that are."""
    out = screens.out
    async with LocalMachine(settings) as machine, StatusServer(machine, status, lambda it: tell(out, it), token):
        show_diagnostics(screens.err, machine.controller.running.application.warnings)
        show_plan(machine, out)
        assert settings.served is not None
        for name, node in machine.nodes.items():
            inside = name in machine.inside
            tell(out, f"  {name} is part of a program" if inside else f"  {name} will listen on {node.address}")
        for (client, server), address in machine.entrances.items():
            tell(out, f"  {client} calls {server} at {address}")
        control, records = settings.served.control, settings.served.records
        tell(out, f"\nup: control plane at {control}, records at {records}, dashboard and status at http://{status}/")
        key = f"{TRUSTED_KEYS}={user_key().public_text}"
        if machine.has_proxies:
            options = f"--control {control} --records {records}{_shown(settings.served)}"
            tell(out, f"for a node's bootstrap configuration, run: appnetctl bootstrap NODE {options}", style="dim")
            tell(out, f"as another user or elsewhere, set {key} before", style="dim")
        if machine.programs_follow is not None:
            name = machine.controller.running.application.application.name
            variables = f"APPNET_CONTROL={machine.programs_follow} APPNET_APPLICATION={shlex.quote(name)} {key}"
            tell(out, f"start these programs with: {variables}{_variables(settings.served)}", style="dim")
        shown = show_nodes(machine, screens), show_live(machine, out)
        await together(upgrade_on_save(machine, screens), follow_traffic(machine, screens), *shown)


def _place(text: str, option: str) -> Address:
    """Where to listen. Raises OSError that names the option where that cannot be."""
    address = address_given(text, option)
    try:
        address.check_bindable()
    except OSError as error:
        raise OSError(f"{option}: {error}; choose another, or stop the program that listens there") from None
    return address


def _shown(served: Served) -> str:
    """The options of `bootstrap` by which a node knows the control plane, and is known to it."""
    tls = served.tls
    token = " --token-file FILE" if served.token is not None else ""
    if tls is None:
        return token
    return f" --tls-ca FILE{'' if tls.client_ca is None else ' --tls-cert FILE --tls-key FILE'}{token}"


def _variables(served: Served) -> str:
    """The same for programs."""
    ca = " APPNET_CA=FILE" if served.tls is not None else ""
    return f"{ca} APPNET_TOKEN={shlex.quote(str(served.token))}" if served.token is not None else ca


def command(
    files: FilesArgument,
    *,
    upstream: UpstreamOption = None,
    target: TargetOption = DEFAULT_TARGET,
    opt_level: LevelOption = OptLevel.STRONG,
    control: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where Envoys connect.")] = CONTROL,
    programs: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Where programs follow that run chains themselves, if Envoys connect, too; else they use --control.",
        ),
    ] = PROGRAMS,
    records: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where elements send records.")] = RECORDS,
    status: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="For probes, Prometheus, `rollout`, `top` and `logs`.")
    ] = STATUS,
    host: Annotated[str, typer.Option(help="The address on which Envoys listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=1, max=MAX_PORT, help="The first node's port; the others get the next ones.")
    ] = 15000,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="Accept only nodes with a certificate of this authority, in PEM.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="Accept only nodes that show the token in this file.")] = None,
    records_grpc: GrpcOption = None,
    forward: ForwardOption = None,
    store: StoreOption = None,
    keep: KeepOption = USUAL_KEEP,
    keep_bytes: KeepBytesOption = USUAL_BYTES,
    canary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NODE[,NODE…]", help="Saved changes go only to these nodes, until `rollout promote`; repeatable."
        ),
    ] = None,
    concurrency: ConcurrencyOption = 1,
    prices: PricesOption = None,
    max_message: MaxMessageOption = None,
    idle_timeout: IdleTimeoutOption = None,
    traces: TracesOption = None,
    dashboard_token_file: DashboardTokenOption = None,
) -> None:
    """Run the control plane for Envoys that you start yourself, and upgrade them whenever you save a file."""
    screens = open_screens()
    with told_errors(ApplicationError, ProcessorError), run_folder() as folder:
        limits = Limits(max_message, idle_timeout, traces)
        where = where_of(target, prices, workers=concurrency, limits=limits)
        tls = server_tls(tls_cert, tls_key, tls_client_ca)
        own = [_place(it, name) for it, name in ((control, "--control"), (records, "--records"), (status, "--status"))]
        inside = address_given(programs, "--programs")  # which few applications use
        token = server_token(token_file, (own[0], inside), tls)
        over_grpc = None if records_grpc is None else _place(records_grpc, "--records-grpc")
        served = Served(own[0], own[1], inside, host, port, tls, token, over_grpc)
        settings = RunSettings(
            application_sources("serve", files),
            folder,
            Settings(opt_level),
            where,
            upstreams=upstreams_given(upstream),
            served=served,
            keep=keep_given(store, folder, keep, keep_bytes),
            forward=forward,
            canaries=tuple(name.strip() for it in canary or () for name in it.split(",")),
        )
        work = serve_until_told(settings, own[2], dashboard_token(dashboard_token_file), screens)
        asyncio.run(supervised(work, alone=True))
    screens.out.print("stopped")
