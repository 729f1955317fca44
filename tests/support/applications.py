"""What an application's files say, without where they say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from appnet.application.model import USUAL_PROCESSOR, Application, Chain
from appnet.diagnostics.place import Source


def said(application: Application, *, edges: bool = True) -> dict[str, Any]:
    """The application as plain values; ``edges``: with those that have no elements."""
    chains = sorted(map(_chain, application.chains), key=lambda it: (it["edge"], it["methods"]))
    listed = sorted((client.value, server.value) for client, server in application.edges)
    return {
        "name": application.name,
        "manifest": _place(application.manifest),
        "chains": chains,
        **({"edges": listed} if edges else {}),
    }


def _chain(chain: Chain) -> dict[str, Any]:
    return {
        "edge": str(chain.edge),
        "methods": [it.value for it in chain.methods],
        "proto": _place(chain.proto),
        "proto_roots": [_place(it.inside) for it in chain.proto_roots],
        "processors": [it.value for it in chain.processors] or [USUAL_PROCESSOR],
        "native": chain.native,
        "limits": chain.limits,
        "state": chain.state,
        "replan": chain.replan,
        "secret_fields": [it.value for it in chain.secret_fields],
        "module": (chain.proto_module, chain.proto_module_folder),
        "stops": [
            (
                stop.spec.name.value,
                _place(stop.spec.source),
                {name: (type(it.value), it.value) for name, it in stop.spec.parameters.items()},
                stop.fixed,
                stop.side,
            )
            for stop in chain.stops
        ],
    }


def _place(source: Source) -> str:
    """Where it is, below the working directory."""
    return source.path.resolve().relative_to(Path.cwd()).as_posix() if source.path is not None else source.name
