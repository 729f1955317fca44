"""Rollouts of an application in a cluster, as its AppNetConfigs and what is kept of earlier versions say."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from appnet.application.appnet_config import ONLY_IN_CLUSTERS
from appnet.deploy.kubernetes.client.cluster import Cluster, ClusterError, MissingError, Object
from appnet.deploy.kubernetes.client.configurations import condition, every, one, patch, replace
from appnet.deploy.kubernetes.rollouts import (
    CONFIG_MAPS,
    GONE_BACK,
    PROMOTE,
    Revision,
    entry,
    places,
    revision_of,
    selector,
)
from appnet.diagnostics.near import suggestion

_STAYING = (*ONLY_IN_CLUSTERS, "replan", "appManifestFile", "appManifestInline", "appManifestFrom")


@dataclass(frozen=True)
class Rollout:
    """The AppNetConfigs of the application of ``asked``, and what ran, the newest first."""

    asked: Object
    configurations: Sequence[Object]
    revisions: Sequence[Revision]

    @property
    def name(self) -> str:
        """Of the AppNetConfig that was asked for."""
        return str(self.asked["metadata"]["name"])

    @property
    def version(self) -> str:
        """What runs; empty before the first version."""
        return str(self.asked.get("status", {}).get("version", ""))

    @property
    def canary(self) -> str:
        """The version that is tried on some proxies; empty where none is."""
        if condition(self.asked, "Delivered").get("reason") != "Canary":
            return ""
        proxies = self.asked["status"].get("proxies") or ()
        return next((str(it["version"]) for it in proxies if it.get("version") != self.version), "")

    @property
    def paused(self) -> bool:
        """Whether versions wait."""
        return any(it["spec"].get("rollout", {}).get("paused") for it in self.configurations)


def rollout_of(cluster: Cluster, name: str) -> Rollout:
    """That of the application of an AppNetConfig. Raises `ClusterError`."""
    asked = one(cluster, name)
    application = asked["spec"]["appName"]
    configurations = [it for it in every(cluster, cluster.namespace) if it["spec"]["appName"] == application]
    path = f"/apis/apps/v1/namespaces/{cluster.namespace}/controllerrevisions"
    listed = cluster.get(path, labelSelector=selector(application))["items"]
    return Rollout(asked, configurations, sorted(map(_revision, listed), key=lambda it: -it.number))


def _revision(body: Object) -> Revision:
    try:
        return revision_of(body)
    except (KeyError, ValueError, OSError) as error:
        name = body["metadata"]["name"]
        told = f"the ControllerRevision {name} is not as the controller writes them ({error})"
        raise ClusterError(f"{told}: kubectl delete controllerrevision {name}") from None


def pause(cluster: Cluster, found: Rollout, *, paused: bool) -> None:
    """Has later versions wait, or lets them go on. Raises `ClusterError`."""
    for it in found.configurations:
        if bool(it["spec"].get("rollout", {}).get("paused")) != paused:
            patch(cluster, it["metadata"]["name"], {"spec": {"rollout": {"paused": True if paused else None}}})


def promote(cluster: Cluster, found: Rollout) -> str:
    """Has all proxies run what canaries do, which it gives. Raises `ClusterError`."""
    if not found.canary:
        told = f"no canary of {found.name} runs: there is nothing to promote"
        raise ClusterError(told, wrong_input=True)
    if found.paused:
        told = f"the rollout of {found.name} is paused: `appnetctl rollout resume {found.name}` first"
        raise ClusterError(told, wrong_input=True)
    patch(cluster, found.name, {"metadata": {"annotations": {PROMOTE: found.canary}}})
    return found.canary


@dataclass(frozen=True)
class Undone:
    """What an undo has written: the AppNetConfigs ``changed``, back to ``revision``, and what it has to tell."""

    revision: Revision
    changed: Sequence[Object]
    notes: Sequence[str]


def undo(cluster: Cluster, found: Rollout, to: str | None) -> Undone:
    """Writes what an earlier version was made of back into the AppNetConfigs of the application.

    ``to``: that version. By default the one that runs, where what is written now does not: it was refused, is a canary,
    paused or wrong; else the one that ran before. Raises `ClusterError`.
    """
    restored = _Restored(cluster)
    revision = _chosen(found, to) if to is not None else _before(found, restored)
    specs = {it["metadata"]["name"]: restored.spec(it, revision) for it in found.configurations}
    back = revision.version != found.version or not _runs_as_written(found)  # a plan may be tried, which no spec has
    changed = []
    for body in found.configurations:
        name = body["metadata"]["name"]
        spec, before = specs[name], body["metadata"].get("annotations") or {}
        marks = {key: it for key, it in before.items() if not back or key != GONE_BACK}  # of an undo before
        if back and name == found.name:
            marks[GONE_BACK] = f"{revision.version}@{datetime.now(UTC).isoformat()}"
        if spec is not None and (spec, marks) != (body["spec"], before):
            changed.append(replace(cluster, body, marks, spec))
    return Undone(revision, changed, [*_notes(found, specs, revision), *restored.notes])


def _chosen(found: Rollout, to: str) -> Revision:
    known = {it.version: it for it in found.revisions}
    if to not in known:
        told = f"no version {to} of {found.name} is kept; {suggestion(to, known, what='kept versions')}"
        raise MissingError(told, wrong_input=True)
    return known[to]


def _before(found: Rollout, restored: _Restored) -> Revision:
    if not found.revisions:
        raise ClusterError(f"no version of {found.name} has run yet: there is none to go back to", wrong_input=True)
    newest = found.revisions[0]
    if _runs_as_written(found) and _as_kept(found, newest, restored):
        if len(found.revisions) == 1:
            told = f"no version of {found.name} ran before {newest.version}: there is none to go back to"
            raise ClusterError(told, wrong_input=True)
        return found.revisions[1]
    return newest


def _runs_as_written(found: Rollout) -> bool:
    """As far as their status says."""
    return all(
        condition(it, "Compiled").get("status") == "True"
        and condition(it, "Delivered").get("reason") not in ("Refused", "Canary")
        for it in found.configurations
    )


def _as_kept(found: Rollout, newest: Revision, restored: _Restored) -> bool:
    """Whether AppNetConfigs are as they were for a version; those with files of the controller's host may be."""
    return all(_has_files(it["spec"]) or restored.spec(it, newest) in (None, it["spec"]) for it in found.configurations)


def _has_files(spec: Object) -> bool:
    return any(key in holder for holder, key in places(spec))


def _notes(found: Rollout, specs: Mapping[str, Object | None], revision: Revision) -> Iterator[str]:
    here = {it["metadata"]["name"] for it in found.configurations}
    for name in sorted(name for name, spec in specs.items() if spec is None):
        yield f"{name} is newer than version {revision.version}: it stays as it is"
    for key in sorted(revision.texts):
        name = key.removesuffix(".yaml")
        if key.endswith(".yaml") and "/" not in key and name not in here:
            yield f"{name} was deleted after version {revision.version}: apply it again if you want it back"


class _Restored:
    """Makes the ``spec`` of AppNetConfigs of what a revision holds. ``notes``: what stands elsewhere than before."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._config_maps: dict[str, Mapping[str, str]] = {}
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> list[str]:
        return list(self._notes)

    def spec(self, body: Object, revision: Revision) -> dict[str, Any] | None:
        """The ``spec`` with its texts inside it, but for ConfigMaps that still have the same ones; how the cluster is
        to treat it stays as it is. None where the AppNetConfig was no part of the version. Raises `ClusterError`."""
        name = body["metadata"]["name"]
        kept = revision.spec(name)
        if kept is None:
            return None
        for holder, key in places(kept):
            self._restore(holder, key, name, revision)
        stays = {key: it for key, it in body["spec"].items() if key in _STAYING}
        kept = {key: it for key, it in kept.items() if key not in _STAYING}
        return {**kept, **copy.deepcopy(stays)}

    def _restore(self, holder: dict[str, Any], key: str, name: str, revision: Revision) -> None:
        path = entry(str(holder.pop(key)))
        inline, source = ("inline", "fileFrom") if key == "file" else ("protoInline", "protoFrom")
        imported = _beside(path, revision.texts) if key == "proto" else {}
        if path.startswith(f"{name}/{CONFIG_MAPS}/"):
            config_map, text = path.split("/")[2:]
            if {text: revision.texts[path], **imported}.items() <= self._config_map(config_map).items():
                holder[source] = {"configMapKeyRef": {"name": config_map, "key": text}}
                return
            self._note(f"{name}: ConfigMap {config_map} has changed since: its old text is now in the object")
        elif not path.startswith(f"{name}/"):
            self._note(f"{name}: the old text of {path} is now in the object")
        if imported:
            told = f"the .proto of {name} imports {', '.join(imported)}, and an AppNetConfig has room for one .proto"
            raise ClusterError(f"{told}: put these back as they were in version {revision.version}, and try again")
        holder[inline] = revision.texts[path]

    def _note(self, text: str) -> None:
        self._notes[text] = None

    def _config_map(self, name: str) -> Mapping[str, str]:
        if name not in self._config_maps:
            try:
                path = f"/api/v1/namespaces/{self._cluster.namespace}/configmaps/{name}"
                self._config_maps[name] = self._cluster.get(path).get("data") or {}
            except MissingError:
                self._config_maps[name] = {}
        return self._config_maps[name]


def _beside(path: str, texts: Mapping[str, str]) -> dict[str, str]:
    """The other .proto files that are kept from where one is."""
    folder = posixpath.dirname(path)
    found = {posixpath.relpath(it, folder or "."): text for it, text in texts.items() if it.endswith(".proto")}
    return {it: text for it, text in found.items() if not it.startswith("..") and it != posixpath.basename(path)}
