"""Files of this machine as objects for a cluster, without one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from appnet.deploy.kubernetes.client.cluster import ClusterError
from appnet.deploy.kubernetes.client.inline import objects_in
from appnet.diagnostics.source import FileSource, TextSource

ECHO = Path("config/samples/echo")
CONFIG = ECHO / "sample_echo_sidecar.yaml"


def test_all_that_a_file_names_stands_inside_the_object() -> None:
    (made,) = objects_in(FileSource(CONFIG))
    written = yaml.safe_load(CONFIG.read_text())
    assert made["metadata"] == written["metadata"]
    spec = made["spec"]
    assert spec["protoInline"] == (ECHO / "echo.proto").read_text()
    assert {"appManifestFile", "proto"}.isdisjoint(spec)
    for chain in ("clientChain", "serverChain", "anyChain"):
        texts = [{"name": it["name"], "inline": (ECHO / it["file"]).read_text()} for it in written["spec"][chain]]
        assert spec[chain] == texts


def test_settings_of_the_cluster_labels_and_parameters_stay() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    config["metadata"] |= {"labels": {"team": "a"}, "annotations": {"note": "b"}, "uid": "not ours to say"}
    config["spec"] |= {"delivery": "manifest", "rollout": {"paused": True}}
    config["spec"]["serverChain"][0]["parameters"] = {"limit": 3}
    config["status"] = {"version": "1"}
    (made,) = objects_in(TextSource(CONFIG, yaml.safe_dump(config)))
    assert made.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert made["metadata"] == {"name": "sample-echo-sidecar", "labels": {"team": "a"}, "annotations": {"note": "b"}}
    assert (made["spec"]["delivery"], made["spec"]["rollout"]) == ("manifest", {"paused": True})
    assert made["spec"]["serverChain"][0]["parameters"] == {"limit": 3}


def test_several_in_one_file_are_an_object_each() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    other = {**config, "metadata": {"name": "other"}}
    found = list(objects_in(TextSource(CONFIG, yaml.safe_dump_all([config, other]))))
    assert [it["metadata"]["name"] for it in found] == ["sample-echo-sidecar", "other"]


def test_a_proto_that_imports_others_is_refused_with_a_way_out(tmp_path: Path) -> None:
    folder = tmp_path / "echo"
    shutil.copytree(ECHO, folder)
    (folder / "common.proto").write_text('syntax = "proto3"; package common; message M {}')
    proto = folder / "echo.proto"
    proto.write_text(proto.read_text().replace('syntax = "proto3";', 'syntax = "proto3";\nimport "common.proto";'))
    with pytest.raises(ClusterError, match=r"imports common.proto, .* ConfigMap .* `protoFrom`") as error:
        list(objects_in(FileSource(folder / CONFIG.name)))
    assert error.value.wrong_input


def test_a_specification_is_no_object() -> None:
    specification = Path("tests/application/bad/conversions/order.yaml")
    with pytest.raises(ClusterError, match="is a specification; `appnetctl convert"):
        list(objects_in(FileSource(specification)))
