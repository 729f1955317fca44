"""Whose records and counts `appnetctl logs` and `top` show: a cluster's, or those of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated

import typer

from appnet.cli.cluster import cluster_of, the_controller
from appnet.cli.errors import FAILURE, open_screens, told_errors
from appnet.cli.options import address_given, seconds_given
from appnet.cli.screen import tell
from appnet.deploy.kubernetes.client.cluster import ClusterError
from appnet.deploy.kubernetes.client.records import Controller, OnHost

StatusOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Of this machine, not a cluster: the status address that `run` or `serve` tells."
    ),
]
SinceOption = Annotated[
    float | None,
    typer.Option(parser=seconds_given, metavar="TIME", help="What was in this time, as far as it is kept: `1h`."),
]


@contextlib.contextmanager
def watched(status: str | None, controller: str | None, *, option: str = "--status") -> Iterator[Controller]:
    """Whom to ask; ``option`` gave the ``status``. Ends the command with what goes wrong."""
    if status is None:
        with cluster_of() as cluster:
            yield the_controller(cluster, controller)
        return
    if controller is not None:
        raise typer.BadParameter("it is for `run` and `serve`, and --controller for a cluster", param_hint="--status")
    with told_errors():
        address = address_given(status, option)
        try:
            yield OnHost(address, "`run` or `serve`", "the address is the one that it tells")
        except ClusterError as error:
            tell(open_screens().err, f"error: {error}")
            raise typer.Exit(FAILURE) from None
