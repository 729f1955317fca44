"""The files of a compiled application that are the same wherever it runs, and the folder that they are written to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from appnet.compile.pipeline import Version
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Span
from appnet.diagnostics.source import FileSource
from appnet.optimize.explain import explain, explanation_json, segment_json
from appnet.processors import registry
from appnet.processors.artifact import Artifact
from appnet.processors.managed import Managed
from appnet.system.address import Address
from appnet.system.folders import work_folder

_MARK = "order.yaml"
_PROGRAM = ".sh"


def code_files(version: Version, records: Address | None = None) -> dict[str, bytes]:
    """The C text of each module and what it was built into, what programs are built with, and the plan, by paths.

    ``records``: where elements' records go.
    """
    found: dict[str, bytes] = {}
    for it in version.artifacts:
        target = registry.processor(it.segment.place.processor).targets[it.segment.place.target]
        found[f"code/{it.stem}.c"] = it.code.text.encode()
        found[f"code/{it.stem}.{target.suffix}"] = it.binary
    for name in dict.fromkeys(it.segment.place.processor for it in version.artifacts):
        here = [it for it in version.artifacts if it.segment.place.processor == name]
        found.update(registry.processor(name).program_files(here, records))
    found["plan.json"] = (json.dumps(plan_json(version), indent=2) + "\n").encode()
    return found


def service_files(version: Version, service: Managed, records: Address | None) -> dict[str, bytes]:
    """What is to be written for a service of its own, which runs the version's chains, by paths in the folder.

    ``records``: where elements' records go. Raises `DiagnosticError` for what it cannot run.
    """
    wrong = list(service.problems(version.artifacts))
    if wrong:
        raise DiagnosticError(wrong)
    own = service.files(version.application.application.name, version.artifacts, records)
    return with_mark({**code_files(version), **own})


def with_mark(found: Mapping[str, bytes], order: Mapping[str, Any] = MappingProxyType({})) -> dict[str, bytes]:
    """The files with one that lists them, by which the next compilation knows what it may replace.

    ``order``: what else it says.
    """
    mark = yaml.safe_dump({**order, "written": [*found, _MARK]}, sort_keys=False)
    return {**found, _MARK: mark.encode()}


def built_into(version: Version) -> str:
    """What modules were built into, by their suffixes."""
    places = {it.segment.place for it in version.artifacts}
    suffixes = sorted({registry.processor(it.processor).targets[it.target].suffix for it in places})
    return " or ".join(f"`.{it}`" for it in suffixes)


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
                if path.endswith(_PROGRAM):
                    (beside / path).chmod(0o755)
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
            title, help_ = (
                f"{it} is not from an earlier compilation",
                "move it, or choose another folder: --write FOLDER",
            )
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
