"""What commands for a cluster share: the way to it, where in it, and what is told where it does not answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated

import typer

from appnet.cli.errors import FAILURE, WRONG_INPUT, open_screens, told_errors
from appnet.cli.options import address_given, seconds_given
from appnet.cli.screen import tell
from appnet.deploy.kubernetes.client.cluster import Cluster, ClusterError
from appnet.deploy.kubernetes.client.records import Controller, OnHost, controller_of

NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The namespace; default: that of kubectl's context.")
]
AllNamespacesOption = Annotated[bool, typer.Option("--all-namespaces", "-A", help="In all namespaces.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", parser=seconds_given, metavar="TIME", help="How long to wait; default: 60s."),
]
ControllerOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="The `--status` of a controller outside the cluster; default: the cluster's Service, else 127.0.0.1:8081.",
    ),
]
USUAL_TIMEOUT = 60.0
"""Seconds."""


@contextlib.contextmanager
def with_extra() -> Iterator[None]:
    """Ends the command where the libraries for clusters are missing, which an extra brings."""
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = "pip install 'appnet[controller]' brings it"
        name = str(error.name).partition(".")[0]
        tell(open_screens().err, f"error: {name} is not installed: {remedy}")
        raise typer.Exit(FAILURE) from None


@contextlib.contextmanager
def cluster_of(namespace: str | None = None) -> Iterator[Cluster]:
    """The cluster that kubectl is configured for; ends the command with what goes wrong, and the exit code for it."""
    with with_extra():
        from appnet.deploy.kubernetes.client.connection import connected  # noqa: PLC0415 -- an extra has its libraries
    with told_errors():
        try:
            with connected(namespace) as cluster:
                yield cluster
        except ClusterError as error:
            tell(open_screens().err, f"error: {error}")
            raise typer.Exit(WRONG_INPUT if error.wrong_input else FAILURE) from None


def the_controller(cluster: Cluster, address: str | None) -> Controller:
    """The controller at the address that a `ControllerOption` gives, or that of the cluster."""
    return OnHost(address_given(address, "--controller")) if address is not None else controller_of(cluster)
