"""The program that refused a call, among the versions that are known."""

from __future__ import annotations

from collections.abc import Iterable

from appnet.behaviour.explained import Program
from appnet.compile.pipeline import Version
from appnet.observe.refusals import Refusal


def program_of(versions: Iterable[Version], refusal: Refusal) -> Program | None:
    """The element as compiled for the version and the method; None where none of the versions is the one."""
    wanted = refusal.resource.get("appnet.version")
    for version in versions:
        for artifact in version.artifacts:
            names = {it.name.value: it for it in artifact.segment.elements}
            if wanted not in {artifact.version, version.id} or refusal.element not in names:
                continue
            for bound in artifact.chain.methods:
                if bound.signature.full_name.removeprefix("/") == refusal.method:
                    spec = names[refusal.element]
                    return Program(bound.elements[refusal.element], bound.signature, artifact.chain.proto, spec)
    return None
