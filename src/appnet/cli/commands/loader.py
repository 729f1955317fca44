"""`appnetctl loader`: what pods of a cluster need so that their proxies, or their programs, run native code."""

from __future__ import annotations

import json
from typing import Annotated

import typer
import yaml

from appnet.cli.cluster import ControllerOption, NamespaceOption, cluster_of, the_controller
from appnet.cli.errors import open_screens

EXAMPLES = (
    "appnetctl loader > loader.yaml",
    "appnetctl loader --patch",
    "appnetctl loader --ambient -n shop",
    "appnetctl loader --library server --patch",
)
PAGE = "kubernetes.md"


def command(
    *,
    namespace: NamespaceOption = None,
    ambient: Annotated[bool, typer.Option("--ambient", help="For waypoints, not for sidecars.")] = False,
    patch: Annotated[bool, typer.Option("--patch", help="Print the patch for Deployments, not the objects.")] = False,
    library: Annotated[
        str | None,
        typer.Option(metavar="CONTAINER", help="For programs with the gRPC library, in a container of this name."),
    ] = None,
    controller: ControllerOption = None,
) -> None:
    """Print the objects that bring AppNet's loader into a namespace, as YAML, or the patch that gives it to pods.

    The loader opens only what this controller has signed. Without it, proxies run WebAssembly. Programs with the gRPC
    library need no loader: with --library, they learn where the controller is, and whom to trust.
    """
    if library is not None and ambient:
        raise typer.BadParameter("a waypoint has no program: leave one of them out", param_hint="--library")
    if ambient and patch:
        message = "waypoints need no patch of Deployments: name the ConfigMap appnet-waypoint in their Gateway"
        raise typer.BadParameter(message, param_hint="--patch")
    with cluster_of(namespace) as cluster:
        processor = "ambient" if ambient else "grpc" if library is not None else "sidecar"
        found = the_controller(cluster, controller).native(cluster.namespace, processor)
    if patch:
        template = found["template"]
        for it in template.get("spec", {}).get("containers", ()):
            it["name"] = it["name"] or library
        text = json.dumps({"spec": {"template": template}})
    else:
        text = yaml.safe_dump_all(found["objects"], sort_keys=False).rstrip()
    open_screens().out.print(text, markup=False, highlight=False, soft_wrap=True)
