"""The files of a compiled application: code, modules, manifests, the plan, and how to apply and remove it all."""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml

from appnet.application.manifest import label_value
from appnet.compile.pipeline import Version
from appnet.compile.written import built_into, code_files, with_mark
from appnet.deploy.kubernetes.manifests import ManifestSettings, manifests
from appnet.deploy.kubernetes.rollouts import APPLICATION, VERSION
from appnet.processors import registry
from appnet.processors.processor import Object

_SERVER_SIDE = "--server-side --force-conflicts --field-manager=appnet"
_LIKE_A_NUMBER = re.compile(r"[-+.]?[0-9][-+.\w]*")
_README = """# {name}, compiled by AppNet

| | |
|---|---|
| `code/CLIENT_SERVER/METHOD.SEGMENT` | each module: its C code (`.c`), and what it was built into ({built}) |
| `kubernetes/` | manifests, named in the order to apply them |
| `order.yaml` | the same order and the order to delete them, for programs; also what the next compilation replaces |
| `plan.json` | which element runs where, and why |

{preparations}

Apply, from this folder. After another compilation this upgrades running proxies; what it no longer needs goes last:

{apply}

Apply on the server side: a module is too long for the annotation of a client-side apply. Delete everything:

{remove}
"""


def files(version: Version, settings: ManifestSettings) -> dict[str, bytes]:
    """What is to be written, by paths in the folder. Raises `DiagnosticError` as `manifests` does."""
    objects = manifests(version, settings)
    paths = [f"kubernetes/{name}" for name in objects]
    listed = {path: _yaml(it) for path, it in zip(paths, objects.values(), strict=True)}
    found = {**code_files(version, settings.collector), **listed, "README.md": _readme(version, paths).encode()}
    return with_mark(found, {"apply": paths, "prune": _outdated(version), "remove": paths[::-1]})


class _Dumper(yaml.SafeDumper):
    """Quotes texts such as 12e3, which are numbers for Kubernetes' reader of YAML and none for PyYAML's."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = "'" if _LIKE_A_NUMBER.fullmatch(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _yaml(objects: list[Object]) -> bytes:
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=2**31, allow_unicode=True).encode()


def _readme(version: Version, paths: list[str]) -> str:
    places = {it.segment.place for it in version.artifacts}
    processors = [registry.processor(name) for name in sorted({it.processor for it in places})]
    apply = [f"apply {_SERVER_SIDE} -f {it}" for it in paths]
    prune = [f"delete {','.join(it.objects().kinds)} --all-namespaces -l '{_outdated(version)}'" for it in processors]
    remove = [f"delete -f {it}" for it in paths[::-1]]
    return _README.format(
        name=version.application.application.name,
        built=built_into(version),
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
