"""The files of a compiled application: code, modules, manifests, the plan, and how to apply and remove it all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from appnet.application.manifest import label_value
from appnet.compile.pipeline import Version
from appnet.deploy.kubernetes.manifests import APPLICATION, VERSION, ManifestSettings, manifests
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource
from appnet.optimize.explain import explain, explanation_json, segment_json
from appnet.processors import registry
from appnet.processors.artifact import Artifact
from appnet.processors.processor import Object
from appnet.system.folders import work_folder

_MARK = "order.yaml"
_SERVER_SIDE = "--server-side --force-conflicts --field-manager=appnet"
_README = """# {name}, compiled by AppNet

| | |
|---|---|
| `code/CLIENT_SERVER/METHOD.SEGMENT` | each module: its C text (`.c`), and what it was built into ({built}) |
| `kubernetes/` | manifests, named in the order to apply them |
| `order.yaml` | the same order, and the one to remove them, for programs; and what the next compilation replaces |
| `plan.json` | which element runs where, and why |

{preparations}

Apply, from this folder. After another compilation this upgrades running proxies; what it no longer needs goes last:

{apply}

Server-side apply, since a module is longer than the annotation that `kubectl apply` keeps without it. Remove all of it:

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
    found["plan.json"] = (json.dumps(plan_json(version), indent=2) + "\n").encode()
    found["README.md"] = _readme(version, paths).encode()
    order = {"apply": paths, "prune": _outdated(version), "remove": paths[::-1], "written": [*found, _MARK]}
    found[_MARK] = yaml.safe_dump(order, sort_keys=False).encode()
    return found


def write(found: Mapping[str, bytes], folder: Path) -> None:
    """Writes the files in place of those that were written there before.

    Raises OSError, and `DiagnosticError` for a folder that holds something else.
    """
    was_there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with work_folder(folder, ".appnet-") as beside:  # all of it, before anything is replaced
            no_more = _no_more(folder, found, beside)
            for path, content in found.items():
                (beside / path).parent.mkdir(parents=True, exist_ok=True)
                (beside / path).write_bytes(content)
            for path in sorted(found, key=lambda it: it != _MARK):  # what is cut short can be repeated
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (beside / path).replace(folder / path)
    except BaseException:
        if not was_there:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    for it in no_more:
        it.unlink()


def _no_more(folder: Path, found: Mapping[str, bytes], beside: Path) -> list[Path]:
    """What an earlier compilation wrote there, and this one does not. Raises `DiagnosticError` for what nobody did."""
    earlier = _written(folder)
    no_more = []
    for it in folder.rglob("*"):
        path = it.relative_to(folder).as_posix()
        if it.is_dir() or it.is_relative_to(beside):
            continue
        if path not in earlier:
            title, help_ = f"no earlier compilation wrote {it}", "move it, or name another folder: --write FOLDER"
            place = Span.whole(FileSource(folder))
            raise DiagnosticError([Diagnostic("C066", Severity.ERROR, title, place, "", help_)])
        if path not in found:
            no_more.append(it)
    return no_more


def _written(folder: Path) -> set[str]:
    """The paths that an earlier compilation wrote into the folder."""
    try:
        order = yaml.safe_load((folder / _MARK).read_bytes())
    except (FileNotFoundError, yaml.YAMLError):
        return set()
    written = order.get("written") if isinstance(order, dict) else None
    return set(map(str, written)) if isinstance(written, list) else set()


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
    target = artifact.segment.place.target
    return {**segment_json(artifact.segment), "target": target, "version": artifact.version}


def _yaml(objects: list[Object]) -> bytes:
    return yaml.safe_dump_all(objects, sort_keys=False, width=2**31, allow_unicode=True).encode()


def _readme(version: Version, paths: list[str]) -> str:
    places = {it.segment.place for it in version.artifacts}
    processors = [registry.processor(name) for name in sorted({it.processor for it in places})]
    suffixes = sorted({registry.processor(it.processor).targets[it.target].suffix for it in places})
    apply = [f"apply {_SERVER_SIDE} -f {it}" for it in paths]
    prune = [f"delete {','.join(it.objects().kinds)} --all-namespaces -l '{_outdated(version)}'" for it in processors]
    remove = [f"delete -f {it}" for it in paths[::-1]]
    return _README.format(
        name=version.application.application.name,
        built=" or ".join(f"`.{it}`" for it in suffixes),
        preparations="\n\n".join(it.objects().preparation for it in processors),
        apply=_commands([*apply, *prune]),
        remove=_commands(remove),
    )


def _outdated(version: Version) -> str:
    """Selects what earlier versions of the application left behind."""
    name = label_value(version.application.application.name)
    return f"{APPLICATION}={name},{VERSION}!={version.id}"


def _commands(of_kubectl: Iterable[str]) -> str:
    return "\n".join(f"    kubectl {it}" for it in of_kubectl)
