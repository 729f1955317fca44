"""`appnetctl describe`: all that a cluster knows of an AppNetConfig, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from appnet.application.appnet_config import CHAINS, ONLY_IN_CLUSTERS
from appnet.cli.cluster import NamespaceOption, cluster_of
from appnet.cli.errors import open_screens
from appnet.cli.live import plain
from appnet.cli.output import Format, OutputOption, print_data
from appnet.cli.screen import tell
from appnet.deploy.kubernetes.client.configurations import one
from appnet.deploy.kubernetes.client.waiting import NOBODY, controller

EXAMPLES = ("appnetctl describe sample-echo-sidecar", "appnetctl describe sample-echo-sidecar -n shop -o yaml")
PAGE = "kubernetes.md"

_MARKS = {"True": "yes", "False": "no"}
_STATES = {"acked": "accepted", "nacked": "refused"}


def command(
    name: Annotated[str, typer.Argument(help="The AppNetConfig.")],
    *,
    namespace: NamespaceOption = None,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show what became of an AppNetConfig: its plan and version, conditions, proxies, errors and history."""
    with cluster_of(namespace) as cluster:
        body = one(cluster, name)
        if output is not Format.TEXT:
            print_data(body, output)
            return
        out = open_screens().out
        for line in described(body, controller(cluster)):
            tell(out, plain(line))


def described(body: dict[str, Any], holder: str | None) -> Iterator[str]:
    """The lines; ``holder``: the controller that works, empty where none does, None where one may not know."""
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    yield f"{metadata['namespace']}/{metadata['name']}"
    yield from map(_row, *zip(*_written(spec), strict=True))
    yield from _deleted(metadata)
    if not status:
        yield f"  no status yet: it waits for {NOBODY}" if holder == "" else "  no status yet"
        return
    if status.get("observedGeneration") != metadata.get("generation"):
        waits = NOBODY if holder == "" else "the controller"
        yield f"  the status below is of an earlier state: the latest change waits for {waits}"
    yield _row("processors", status.get("processors", ""))
    if "version" in status:
        yield _row("plan", status.get("plan", ""))
        yield _row("version", f"{status['version']}, on {status.get('rolledOut')}{_counts(status)}")
    yield from _conditions(status)
    yield from _error(status)
    yield from _proxies(status)
    yield from _history(status)


def _written(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a person wrote, by name."""
    yield "application", str(spec.get("appName"))
    yield "edge", f"{spec.get('clientService')} -> {spec.get('serverService')}, {_listed(spec.get('method', ''))}"
    for chain in CHAINS:
        if spec.get(chain):
            yield chain, ", ".join(str(it.get("name")) for it in spec[chain])
    for key in ONLY_IN_CLUSTERS:
        if spec.get(key):
            yield key, _listed(spec[key])


def _row(name: str, value: object) -> str:
    return f"  {name:18}  {value}"


def _listed(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{key} {_listed(it)}" for key, it in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _deleted(metadata: dict[str, Any]) -> Iterator[str]:
    if "deletionTimestamp" in metadata:
        waits = ", ".join(metadata.get("finalizers") or ())
        yield f"  being deleted since {metadata['deletionTimestamp']}; it waits for {waits}"


def _counts(status: dict[str, Any]) -> str:
    counts = status.get("counts") or {}
    told = [f"{counts[it]} {it}" for it in ("refused", "pending") if counts.get(it)]
    return f" ({', '.join(told)})" if told else ""


def _conditions(status: dict[str, Any]) -> Iterator[str]:
    found = status.get("conditions") or ()
    if found:
        yield "conditions"
    for it in found:
        holds = _MARKS.get(it["status"], "unknown")
        why = f": {it['message']}" if it.get("message") else ""
        yield f"  {it['type']:10} {holds:4} since {it['lastTransitionTime']}  {it['reason']}{why}"


def _error(status: dict[str, Any]) -> Iterator[str]:
    error = status.get("lastError")
    if error:
        code = f"[{error['code']}]" if error.get("code") else ""
        yield f"last error{code}"
        yield f"  {error['message']}"
        if error.get("place"):
            yield f"  --> {error['place']}"
        if error.get("help"):
            yield f"  help: {error['help']}"


def _proxies(status: dict[str, Any]) -> Iterator[str]:
    found = status.get("proxies") or ()
    if found:
        yield "proxies"
    width = max((len(it["name"]) for it in found), default=0)
    for it in found:
        why = f" ({it['why']})" if it.get("why") else ""
        error = f": {it['error']}" if it.get("error") else ""
        where = f"{it.get('side')}, {it.get('processor')}, {it.get('target')}{why}"
        state = _STATES.get(it.get("state"), it.get("state"))
        yield f"  {it['name']:{width}}  {it.get('version')} {state}{error}  {where}"


def _history(status: dict[str, Any]) -> Iterator[str]:
    found = status.get("history") or ()
    if found:
        yield "history"
    for it in found:
        yield f"  {it['version']}  since {it.get('since')}  {it.get('reason')}"
