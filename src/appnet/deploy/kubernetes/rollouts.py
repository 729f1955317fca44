"""What a cluster remembers of an application's rollouts: the texts of versions that ran, so that one can come back.

The controller keeps a ControllerRevision for each version, as Kubernetes does for StatefulSets. An undo
writes the texts of an earlier one back into the AppNetConfigs, so that what is written and what runs stay the same.
"""

from __future__ import annotations

import base64
import gzip
import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from appnet.application.appnet_config import CHAINS
from appnet.application.manifest import label_value

APPLICATION, VERSION = "appnet.io/application", "appnet.io/version"
"""Labels of what belongs to an application, and to which of its versions."""

SINCE, REASON = "appnet.io/since", "appnet.io/reason"
"""Annotations of a revision: when and why its version last became the one that runs."""

PROMOTE = "appnet.io/promote"
"""Annotation of an AppNetConfig: the version that is to run everywhere, now that canaries have it."""

GONE_BACK = "appnet.io/gone-back-to"
"""Annotation of an AppNetConfig: the version that an undo went back to, and when, as VERSION@TIME, so that no two undos
are the same. As long as the version runs, plans follow no traffic."""

MOST_KEPT = 10

CONFIG_MAPS = "configmaps"
"""The folder for texts from ConfigMaps, among those of an AppNetConfig in a revision."""

Texts = Mapping[str, str]
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Revision:
    """A version that ran. ``number`` rises with each rollout. ``texts``: all that it was made of, by name: an
    AppNetConfig by its own and ``.yaml``, and what that names by the path that it gives."""

    name: str
    number: int
    version: str
    since: str
    reason: str
    texts: Texts

    def spec(self, configuration: str) -> dict[str, Any] | None:
        """The ``spec`` of an AppNetConfig, with paths for all texts; None where it was no part of the version."""
        text = self.texts.get(f"{configuration}.yaml")
        found: dict[str, Any] | None = yaml.safe_load(text)["spec"] if text is not None else None
        return found


def selector(application: str) -> str:
    """The labels by which the revisions of an application are found."""
    return f"{APPLICATION}={label_value(application)}"


def packed(texts: Texts) -> str:
    """The texts as a revision has them; the same for the same texts."""
    plain = json.dumps(texts, sort_keys=True, ensure_ascii=False).encode()
    return base64.b64encode(gzip.compress(plain, mtime=0)).decode()


def unpacked(packed_: str) -> Texts:
    """The texts of a revision. Raises ValueError and OSError for one that the controller has not made."""
    found: dict[str, str] = json.loads(gzip.decompress(base64.b64decode(packed_)))
    return found


def revision_of(body: Object) -> Revision:
    """A ControllerRevision, as it is read. Raises ValueError and KeyError for one that the controller has not made."""
    metadata = body["metadata"]
    marks = metadata.get("annotations") or {}
    texts = unpacked(body["data"]["texts"])
    version = metadata["labels"][VERSION]
    return Revision(
        metadata["name"], int(body["revision"]), version, marks.get(SINCE, ""), marks.get(REASON, ""), texts
    )


def places(spec: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Whatever names a text in a ``spec``, and by which key: the ``spec`` its .proto, elements their files."""
    yield spec, "proto"
    for chain in CHAINS:
        yield from ((it, "file") for it in spec.get(chain) or ())


def entry(path: str) -> str:
    """The name among a revision's texts of what a path in an AppNetConfig names."""
    return posixpath.normpath(path).lstrip("/")
