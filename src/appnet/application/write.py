"""An application as text: a specification, or an AppNetConfig for each of its chains. The readers' counterpart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

from appnet.application.kinds import API_VERSION, KIND
from appnet.application.limits import share_text
from appnet.application.model import USUAL_PROCESSOR, Application, Chain, ElementSpec, Form, Side, Stop
from appnet.application.replan import plain_replan
from appnet.application.state_store import plain_state_store
from appnet.diagnostics.diagnostic import Diagnostic, DiagnosticError, Severity
from appnet.diagnostics.place import Source, Span
from appnet.diagnostics.source import InlineSource
from appnet.diagnostics.yaml_reader import Located


@dataclass(frozen=True)
class Written:
    """``text``: YAML, for a file in the folder that it was written for. ``left_out``: notes on what it does not say."""

    text: str
    left_out: tuple[Diagnostic, ...] = ()


def write(application: Application, form: Form, folder: Path) -> Written:
    """The application in this form; paths in it start at ``folder``.

    Raises `DiagnosticError` with everything whose meaning the form cannot say.
    """
    inside = list(_inside(application))
    if inside:
        raise DiagnosticError(inside)
    if form is Form.SPECIFICATION:
        return _specification(application, folder)
    return _configurations(application, folder)


def _inside(application: Application) -> Iterator[Diagnostic]:
    """An error for each text that stands in the application's own file: what is written names files."""
    for chain in application.chains:
        place = chain.methods[0].span
        named = [("manifest", application.manifest, place), (".proto", chain.proto, place)]
        named += [("element", it.spec.source, it.spec.name.span) for it in chain.stops]
        for kind, source, span in named:
            if isinstance(source, InlineSource):
                title, label = f"the text of this {kind} has no file", f"it is written at {source.name}"
                yield _cannot(title, span, label, "save it to a file, and write its path")


# --- as a specification -----------------------------------------------------------------------------------------------


def _specification(application: Application, folder: Path) -> Written:
    wrong = [_one_state(it) for it in application.chains if len(it.methods) > 1]
    if len({it.state for it in application.chains}) > 1:
        wrong.append(_one_store(application.chains))
    limits = {it.limits for it in application.chains}
    if len(limits) > 1:
        wrong.append(_one_limit(application.chains))
    if len({it.replan for it in application.chains}) > 1:
        wrong.append(_one_replan(application.chains))
    if len({tuple(map(str, it.secret_fields)) for it in application.chains}) > 1:
        wrong.append(_same_secrets(application.chains))
    if len({it.proto_roots for it in application.chains}) > 1:
        wrong.append(_same_roots(application.chains))
    if wrong:
        raise DiagnosticError(wrong)
    edges: dict[str, list[dict[str, Any]]] = {}
    for chain in application.chains:
        edges.setdefault(str(chain.edge), []).extend(_entry(it, chain, folder) for it in chain.stops)
    top = {
        "app_name": application.name,
        "app_manifest": _reference(application.manifest, folder),
        "app_structure": [f"{client}->{server}" for client, server in application.edges],
        **(_roots(application.chains[0], "proto_roots", folder) if application.chains else {}),
        **(_limits(application.chains[0], "max_message", "idle_timeout") if application.chains else {}),
        **(_secret_fields(application.chains[0], "secret_fields") if application.chains else {}),
        **(_state(application.chains[0], "merge_every") if application.chains else {}),
        **(_replan(application.chains[0]) if application.chains else {}),
        "edge": edges,
    }
    return Written(_yaml([top]))


def _one_state(chain: Chain) -> Diagnostic:
    title = f"a specification cannot express one state for {len(chain.methods)} methods"
    help_ = "write an AppNetConfig for each method, or `'*'` for all methods of the .proto"
    return _cannot(title, chain.methods[1].span, "there, each method has its own chain", help_)


def _one_store(chains: Sequence[Chain]) -> Diagnostic:
    other = next(it for it in chains if it.state != chains[0].state)
    title, label = "a specification has the same `state` for all calls", "its settings differ from others"
    return _cannot(title, other.methods[0].span, label, "use the same `state` everywhere")


def _one_replan(chains: Sequence[Chain]) -> Diagnostic:
    other = next(it for it in chains if it.replan != chains[0].replan)
    title, label = "a specification has the same `replan` for all calls", "its settings differ from others"
    return _cannot(title, other.methods[0].span, label, "use the same `replan` everywhere")


def _one_limit(chains: Sequence[Chain]) -> Diagnostic:
    other = next(it for it in chains if it.limits != chains[0].limits)
    title, label = "a specification has the same limits for all calls", "these limits differ from others"
    help_ = "use the same `maxMessage`, `idleTimeout` and `traces` everywhere"
    return _cannot(title, other.methods[0].span, label, help_)


def _same_secrets(chains: Sequence[Chain]) -> Diagnostic:
    first = [*map(str, chains[0].secret_fields)]
    other = next(it for it in chains if [*map(str, it.secret_fields)] != first)
    title, label = "a specification has the same secret fields for all calls", "others have other secret fields"
    return _cannot(title, other.methods[0].span, label, "write the same `secretFields` everywhere")


def _same_roots(chains: Sequence[Chain]) -> Diagnostic:
    other = next(it for it in chains if it.proto_roots != chains[0].proto_roots)
    title, label = "a specification has the same roots for all .protos", "its .proto has other roots than others"
    return _cannot(title, other.methods[0].span, label, "write the same `protoRoots` everywhere")


def _entry(stop: Stop, chain: Chain, folder: Path) -> dict[str, Any]:
    processors = stop.spec.processors or chain.processors
    return {
        "method": chain.methods[0].value,
        "name": stop.spec.name.value,
        "path": _reference(stop.spec.source, folder),
        **_parameters(stop.spec),
        "position": stop.fixed.value if stop.fixed is not None else "any",
        "proto": _reference(chain.proto, folder),
        **({"proto_mod_name": chain.proto_module} if chain.proto_module else {}),
        **({"proto_mod_location": _module_folder(chain, folder)} if chain.proto_module_folder else {}),
        **({"processor": [it.value for it in processors]} if processors else {}),
        **({"envoy_native": True} if chain.native else {}),
    }


# --- as AppNetConfigs -------------------------------------------------------------------------------------------------


def _configurations(application: Application, folder: Path) -> Written:
    documents: list[dict[str, Any]] = []
    wrong: list[Diagnostic] = []
    for chain in application.chains:
        if chain.native:
            title = f"an AppNetConfig cannot ask for native code on `{chain.edge}` {chain.methods[0]}"
            help_ = "remove `envoy_native`: chains are compiled to native code unless you set `--target`"
            wrong.append(_cannot(title, chain.methods[0].span, "one of its elements has `envoy_native: true`", help_))
        try:
            documents.append(_configuration(application, chain, folder))
        except DiagnosticError as error:
            wrong += error.diagnostics
    if wrong:
        raise DiagnosticError(wrong)
    with_chains = {(it.edge.client, it.edge.server) for it in application.chains}
    empty = [it for it in application.edges if (it[0].value, it[1].value) not in with_chains]
    return Written(_yaml(documents), tuple(map(_left_out, empty)))


def _left_out(edge: tuple[Located, Located]) -> Diagnostic:
    client, server = edge
    title = f"`{client}->{server}` is left out: an AppNetConfig needs elements"
    help_ = "keep the specification if `compile --replica` or a picture needs the edge"
    return Diagnostic("N003", Severity.NOTE, title, client.span, "it has no elements", help_)


def _configuration(application: Application, chain: Chain, folder: Path) -> dict[str, Any]:
    methods = [it.value for it in chain.methods]
    edge = chain.edge
    name = re.sub(r"[^a-z0-9]+", "-", f"{edge.client}-{edge.server}-{chain.method}".lower()).strip("-")
    spec = {
        "processors": [it.value for it in chain.processors] or [USUAL_PROCESSOR],
        "appName": application.name,
        "clientService": edge.client,
        "serverService": edge.server,
        "method": methods if len(methods) > 1 else methods[0],
        "appManifestFile": _reference(application.manifest, folder),
        **{key: [_element(it, folder) for it in listed] for key, listed in _chains(chain).items() if listed},
        "proto": _reference(chain.proto, folder),
        **_roots(chain, "protoRoots", folder),
        **({"protoModName": chain.proto_module} if chain.proto_module else {}),
        **({"protoModLocation": _module_folder(chain, folder)} if chain.proto_module_folder else {}),
        **_limits(chain, "maxMessage", "idleTimeout"),
        **_secret_fields(chain, "secretFields"),
        **_state(chain, "mergeEvery"),
        **_replan(chain),
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


def _chains(chain: Chain) -> dict[str, list[Stop]]:
    """The stops as an AppNetConfig lists them. Raises `DiagnosticError` for an order that it cannot say."""
    client, rest = _run(chain.stops, Side.CLIENT)
    free, rest = _run(rest, None)
    before, rest = _run(rest, Side.CLIENT)
    after, rest = _run(rest, Side.SERVER)
    if rest:
        help_ = "move it before the elements of the server's side, or set its position to that side"
        raise _misplaced(rest[0], "after elements of the server's side", help_)
    help_ = "move it before the elements of neither side, or set their position"
    if len(before) > len(after):  # what stands behind the any chain is the first of a pair
        raise _misplaced(before[0], "after elements of neither side", help_)
    home = Side.SERVER if after and not client and not before else Side.CLIENT
    stray = next((it for it in free if it.side is not home), None)
    if stray is not None:
        raise _misplaced(stray, f"it runs on the {stray.side.value}'s side", "set its position to that side")
    seconds = after[: len(before)][::-1]
    pairs = [it for both in zip(before, seconds, strict=True) for it in both]
    return {"clientChain": client, "anyChain": free, "pairChain": pairs, "serverChain": after[len(before) :]}


def _run(stops: Sequence[Stop], side: Side | None) -> tuple[list[Stop], list[Stop]]:
    """The first stops, as far as they are bound to ``side``, and the rest."""
    end = next((number for number, it in enumerate(stops) if it.fixed is not side), len(stops))
    return list(stops[:end]), list(stops[end:])


def _misplaced(stop: Stop, label: str, help_: str) -> DiagnosticError:
    title = f"an AppNetConfig cannot express the position of `{stop.spec.name}`"
    return DiagnosticError([_cannot(title, stop.spec.name.span, label, help_)])


def _element(stop: Stop, folder: Path) -> dict[str, Any]:
    spec = stop.spec
    return {"name": spec.name.value, "file": _reference(spec.source, folder), **_parameters(spec)}


# --- both -------------------------------------------------------------------------------------------------------------


def _limits(chain: Chain, longest: str, idle: str) -> dict[str, Any]:
    traces = None if chain.limits.traces is None else share_text(chain.limits.traces)
    found = {longest: chain.limits.longest, idle: chain.limits.idle, "traces": traces}
    return {key: it for key, it in found.items() if it is not None}


def _secret_fields(chain: Chain, key: str) -> dict[str, Any]:
    return {key: [str(it) for it in chain.secret_fields]} if chain.secret_fields else {}


def _state(chain: Chain, every: str) -> dict[str, Any]:
    found = plain_state_store(chain.state, every)
    return {"state": dict(found)} if found else {}


def _replan(chain: Chain) -> dict[str, Any]:
    found = plain_replan(chain.replan)
    return {} if found is None else {"replan": found}


def _roots(chain: Chain, key: str, folder: Path) -> dict[str, Any]:
    named = [PurePath(_reference(it.inside, folder)).parent.as_posix() for it in chain.proto_roots]
    return {key: named} if named else {}


def _parameters(spec: ElementSpec) -> dict[str, Any]:
    return {"parameters": {name: it.value for name, it in spec.parameters.items()}} if spec.parameters else {}


def _reference(source: Source, folder: Path) -> str:
    if source.path is None:
        return source.name
    return PurePath(os.path.relpath(os.path.realpath(source.path), os.path.realpath(folder))).as_posix()


def _module_folder(chain: Chain, folder: Path) -> str:
    """The folder as it is written, which need not be there; a relative one from ``folder``."""
    written, path = chain.proto_module_folder, chain.methods[0].span.source.path
    if path is None or written.startswith(("/", "<")):
        return written
    return PurePath(os.path.relpath(Path(os.path.realpath(path)).parent / written, os.path.realpath(folder))).as_posix()


def _cannot(title: str, span: Span, label: str, help_: str) -> Diagnostic:
    return Diagnostic("C026", Severity.ERROR, title, span, label, help_)


def _yaml(documents: Iterable[Any]) -> str:
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=2**31, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Lists stand under their keys, a level deeper."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)
