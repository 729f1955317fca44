"""The files of a compiled application: code, modules, manifests, the plan, and how to apply and remove it all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from appnet.compile.pipeline import Version
from appnet.deploy.kubernetes.manifests import ManifestSettings, manifests
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource
from appnet.optimize.explain import explain, explanation_json
from appnet.processors import registry
from appnet.processors.artifact import Artifact
from appnet.processors.processor import Object

_MARK = "order.yaml"
_FOLDERS = ("code", "kubernetes")
_README = """# {name}, compiled by AppNet

| | |
|---|---|
| `code/CLIENT_SERVER/METHOD.SEGMENT` | each module: its C text (`.c`), and what it was built into (`.wasm` or `.so`) |
| `kubernetes/` | manifests, named in the order to apply them |
| `order.yaml` | the same order, and the one to remove them, for programs |
| `plan.json` | which element runs where, and why |

Istio has to inject sidecars into the application's pods (`kubectl label namespace default istio-injection=enabled`).

Apply, from this folder; a second time, after another compilation, this upgrades running proxies:

{apply}

Remove all of it:

{remove}
"""


def files(version: Version, settings: ManifestSettings) -> dict[str, bytes]:
    """What is to be written, by paths in the folder. Raises `DiagnosticError` as `manifests` does."""
    found: dict[str, bytes] = {}
    for it in version.artifacts:
        target = registry.processor(it.segment.place.processor).targets[it.segment.place.target]
        found[f"code/{it.stem}.c"] = it.code.text.encode()
        found[f"code/{it.stem}.{target.suffix}"] = it.binary
    objects = manifests(version, settings)
    for name, listed in objects.items():
        found[f"kubernetes/{name}"] = _yaml(listed)
    paths = [f"kubernetes/{name}" for name in objects]
    found[_MARK] = yaml.safe_dump({"apply": paths, "remove": paths[::-1]}, sort_keys=False).encode()
    found["plan.json"] = (json.dumps(plan_json(version), indent=2) + "\n").encode()
    found["README.md"] = _readme(version.application.application.name, paths).encode()
    return found


def write(found: Mapping[str, bytes], folder: Path) -> None:
    """Writes the files in place of those that were written there before.

    Raises OSError, and `DiagnosticError` for a folder that holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        title, help_ = f"{folder} holds what AppNet did not write", "name another folder: --output FOLDER"
        raise DiagnosticError([Diagnostic("C066", Severity.ERROR, title, Span.whole(FileSource(folder)), "", help_)])
    for name in _FOLDERS:  # modules and manifests that are no more
        shutil.rmtree(folder / name, ignore_errors=True)
    for path, content in found.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def plan_json(version: Version) -> dict[str, Any]:
    """What was made of the application, for programs: the segments of each chain, and why they are so."""
    return {
        "application": version.application.application.name,
        "chains": [
            {
                "edge": str(chain.chain.edge),
                "methods": [it.signature.full_name for it in chain.methods],
                "segments": [_segment_json(it) for it in version.artifacts if it.chain is chain],
                "explanation": explanation_json(explain(plan)),
            }
            for chain, plan in zip(version.application.chains, version.plans, strict=True)
        ],
    }


def _segment_json(artifact: Artifact) -> dict[str, Any]:
    place = artifact.segment.place
    return {
        "side": place.side.value,
        "processor": place.processor,
        "target": place.target,
        "version": artifact.version,
        "elements": [it.name.value for it in artifact.segment.elements],
    }


def _yaml(objects: list[Object]) -> bytes:
    return yaml.safe_dump_all(objects, sort_keys=False, width=2**31, allow_unicode=True).encode()


def _readme(name: str, paths: list[str]) -> str:
    apply, remove = (
        "\n".join(f"    kubectl {verb} -f {it}" for it in order)
        for verb, order in (("apply", paths), ("delete", paths[::-1]))
    )
    return _README.format(name=name, apply=apply, remove=remove)
