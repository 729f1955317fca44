"""`appnetctl controller`: the control plane of a cluster."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from appnet.cli.cluster import with_extra
from appnet.cli.errors import open_screens, told_errors
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
from appnet.cli.options import address_given
from appnet.cli.supervise import supervised
from appnet.cli.tls import DashboardTokenOption, dashboard_token
from appnet.deploy.kubernetes.names import SYSTEM
from appnet.system.folders import run_folder

EXAMPLES = ("appnetctl controller", "appnetctl controller --files . --address 192.168.1.5:18000")
PAGE = "kubernetes.md"


def command(
    *,
    bind: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where proxies connect.")] = "127.0.0.1:18000",
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The address by which proxies reach it; default: --bind.")
    ] = None,
    records: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where elements send records.")] = "127.0.0.1:4318",
    status: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where /healthz, /readyz and /metrics are.")
    ] = "127.0.0.1:8081",
    records_grpc: GrpcOption = None,
    forward: ForwardOption = None,
    store: StoreOption = None,
    keep: KeepOption = USUAL_KEEP,
    keep_bytes: KeepBytesOption = USUAL_BYTES,
    namespace: Annotated[
        str | None, typer.Option(help="The controller's own namespace; default: its pod's, or appnet-system.")
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(help="Let AppNetConfigs name files in this folder of this machine.", file_okay=False, exists=True),
    ] = None,
    dashboard_token_file: DashboardTokenOption = None,
) -> None:
    """Run the control plane of a cluster: compile its AppNetConfigs, and bring them to the proxies."""
    screens = open_screens()
    with with_extra():
        from appnet.deploy.kubernetes.operator.controller import (  # noqa: PLC0415 -- an extra brings its libraries
            ControllerError,
            ControllerSettings,
            cluster_client,
            control,
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for it in ("httpx2", "httpx", "kopf", "watchfiles"):
        logging.getLogger(it).setLevel(logging.WARNING)
    for it in ("running", "orchestration"):  # what ends them ends the controller, which says why
        logging.getLogger(f"kopf._core.reactor.{it}").setLevel(logging.CRITICAL)
    with told_errors(ControllerError), run_folder() as folder:
        place = address_given(bind, "--bind")
        settings = ControllerSettings(
            bind=place,
            address=address_given(address, "--address") if address is not None else place,
            records=address_given(records, "--records"),
            status=address_given(status, "--status"),
            namespace=namespace or own_namespace(),
            folder=folder,
            keep=keep_given(store, folder, keep, keep_bytes),
            grpc=address_given(records_grpc, "--records-grpc") if records_grpc is not None else None,
            forward=forward,
            dashboard_token=dashboard_token(dashboard_token_file),
            root=Path(os.path.realpath(files)) if files is not None else None,
        )

        async def work() -> None:
            async with cluster_client() as client:
                await control(settings, client)

        asyncio.run(supervised(work(), alone=True))
    screens.out.print("stopped")


def own_namespace() -> str:
    """The namespace of the pod that this runs in; outside of pods the one that AppNet is installed to."""
    try:
        return Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text().strip()
    except OSError:
        return SYSTEM
