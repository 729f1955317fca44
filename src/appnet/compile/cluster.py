"""What keeps an application that runs on this machine from being compiled for a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from appnet.application.load import LoadedApplication
from appnet.application.manifest import Manifest
from appnet.compile.fit import Where, unfit
from appnet.compile.pipeline import plan_application, print_artifacts
from appnet.diagnostics.diagnostic import Diagnostic, Severity
from appnet.optimize import Settings
from appnet.optimize.placement import OptLevel
from appnet.processors import registry
from appnet.processors.artifact import Artifact
from appnet.processors.processor import ClusterObjects


def by_processor(artifacts: Sequence[Artifact]) -> Iterator[tuple[ClusterObjects, list[Artifact]]]:
    """What each processor that runs some of the artifacts says in a cluster, and these artifacts."""
    for name in dict.fromkeys(it.segment.place.processor for it in artifacts):
        here = [it for it in artifacts if it.segment.place.processor == name]
        yield registry.processor(name).objects(), here


def problems(artifacts: Sequence[Artifact], manifest: Manifest) -> list[Diagnostic]:
    """An error for each reason why processors cannot be told to run the artifacts; warnings of what a cluster adds."""
    every: Iterable[Diagnostic] = (
        it for objects, here in by_processor(artifacts) for it in objects.problems(here, manifest.services)
    )
    return list(dict.fromkeys(every))


def told_in_clusters(loaded: LoadedApplication, where: Where) -> list[Diagnostic]:
    """What keeps the chains from running in a cluster; or else what its processors say of them as they are written."""
    there = replace(where, cluster=True)
    found = unfit(loaded, there)
    if not found:
        plans = plan_application(loaded, Settings(OptLevel.NO), there)
        found = problems(list(print_artifacts(loaded.chains, plans)), loaded.manifest)
    return found


def unfit_for_clusters(loaded: LoadedApplication, where: Where) -> list[Diagnostic]:
    """A warning for all that `appnetctl compile` would refuse of an application whose chains fit ``where``."""
    return [replace(it, severity=Severity.WARNING) for it in told_in_clusters(loaded, where)]
