"""AppNetConfigs in a cluster: found and written."""

from __future__ import annotations

from dataclasses import dataclass

from appnet.application.appnet_config import CHAINS
from appnet.deploy.kubernetes.client.cluster import (
    APPLY,
    FIELD_MANAGER,
    JSON_PATCH,
    MERGE,
    TABLE,
    Cluster,
    ClusterError,
    ConflictError,
    MissingError,
    Object,
    Request,
    configurations_path,
)
from appnet.diagnostics.near import suggestion

_SAME_SETTING = (
    ("proto", "protoInline", "protoFrom"),
    ("appManifestFile", "appManifestInline", "appManifestFrom"),
    ("processors", "backend"),
)
"""Keys of a ``spec`` of which it may have one."""
_TOOLS = {
    "kubectl": "kubectl apply --server-side",
    "kubectl-client-side-apply": "kubectl apply",
    "kubectl-edit": "kubectl edit",
    "kubectl-patch": "kubectl patch",
    "kubectl-replace": "kubectl replace",
}
"""As a person typed them, by the names that the API server notes."""

_TRIES = 10
"""To write what nobody else wrote, between two changes of its status."""

# --- read ---


def every(cluster: Cluster, namespace: str | None) -> list[Object]:
    """All AppNetConfigs of a namespace, or of all. Raises `ClusterError`."""
    return list(cluster.get(configurations_path(namespace))["items"])


def one(cluster: Cluster, name: str) -> Object:
    """The AppNetConfig of this name. Raises `ClusterError`, with near names where there is none."""
    try:
        return cluster.get(configurations_path(cluster.namespace, name))
    except MissingError:
        raise _missing(cluster, name) from None


def _missing(cluster: Cluster, name: str) -> ClusterError:
    here = [it["metadata"]["name"] for it in every(cluster, cluster.namespace)]
    title = f"no AppNetConfig {name} in namespace {cluster.namespace}"
    try:
        found = [it["metadata"] for it in every(cluster, None)]
    except ClusterError:  # whoever may see one namespace may not see all
        found = []
    elsewhere = sorted(it["namespace"] for it in found if it["name"] == name)
    if elsewhere:
        help_ = f"it is in namespace {', '.join(elsewhere)}: add -n {elsewhere[0]}"
    else:
        help_ = suggestion(name, here, what="AppNetConfigs")
    return MissingError(f"{title}; {help_}", wrong_input=True)


@dataclass(frozen=True)
class Table:
    """As `kubectl get` prints it. ``columns``: names, and whether each is only for who wants to see all."""

    columns: list[tuple[str, bool]]
    rows: list[tuple[str, list[str]]]
    """The namespace, and the cells."""


def table(cluster: Cluster, namespace: str | None) -> Table:
    """The AppNetConfigs of a namespace, or of all, in the columns that the definition gives them."""
    found = cluster.ask(Request("GET", configurations_path(namespace), {}, None, {"Accept": TABLE}))
    columns = [(it["name"], it.get("priority", 0) > 0) for it in found["columnDefinitions"]]
    rows = [
        (it["object"]["metadata"]["namespace"], ["" if cell is None else str(cell) for cell in it["cells"]])
        for it in found.get("rows") or ()
    ]
    return Table(columns, rows)


def condition(body: Object, type_: str) -> Object:
    """One of its conditions; empty where it has none."""
    conditions = body.get("status", {}).get("conditions") or ()
    return next((it for it in conditions if it.get("type") == type_), {})


def elements_of(body: Object) -> list[str]:
    """The names of its elements."""
    return [str(it["name"]) for key in CHAINS for it in body["spec"].get(key) or ()]


# --- write ---


def apply(cluster: Cluster, made: Object, *, dry_run: bool, force: bool) -> tuple[str, Object]:
    """Makes an AppNetConfig as it is to be, by server-side apply; what became of it: created, configured or unchanged.

    Fields that others have set since stay theirs, unless ``force``: `ClusterError` says whose they are.
    """
    name = made["metadata"]["name"]
    path = configurations_path(cluster.namespace, name)
    try:
        there = cluster.get(path)
    except MissingError:
        there = {}
    before = there.get("metadata", {}).get("resourceVersion")
    options = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
    others_words = _other_words(made["spec"], there.get("spec", {})) if force else {}
    if others_words:  # an apply leaves what it does not name
        body = cluster.send("PATCH", path, {"spec": others_words}, MERGE, **options)
        if dry_run:
            return "configured", body
    try:
        body = cluster.send("PATCH", path, made, APPLY, force=str(force).lower(), **options)
    except ConflictError as error:
        if not error.causes or {who for who, _ in error.causes} != {FIELD_MANAGER}:
            raise _others(name, error) from None
        body = cluster.send("PATCH", path, made, APPLY, force="true", **options)  # what we have patched is ours, too
    same = before == body["metadata"].get("resourceVersion")
    return "created" if before is None else "unchanged" if same else "configured", body


def _other_words(made: Object, there: Object) -> Object:
    """What makes a ``spec`` say in the words of ``made`` what it says in others: the old ones are None."""
    changed: Object = {}
    for same in _SAME_SETTING:
        written = {key: made[key] for key in same if key in made}
        old = {key: None for key in same if key in there and key not in made}
        if written and old:
            changed |= {**written, **old}
    return changed


def _others(name: str, error: ConflictError) -> ClusterError:
    fields = ", ".join(
        dict.fromkeys(f"{field.removeprefix('.')} ({_TOOLS.get(who, who)})" for who, field in error.causes)
    )
    told = f"{name}: these fields were set by other means than `appnetctl apply`: {fields or error}"
    return ClusterError(f"{told}\n--force-conflicts overwrites them", wrong_input=True)


def patch(cluster: Cluster, name: str, changed: Object) -> Object:
    """Changes some fields of an AppNetConfig. Raises `ClusterError`."""
    path = configurations_path(cluster.namespace, name)
    return cluster.send("PATCH", path, changed, MERGE, fieldManager=FIELD_MANAGER)


def replace(cluster: Cluster, there: Object, annotations: Object, spec: Object) -> Object:
    """Writes the annotations and the spec of an AppNetConfig, unless somebody else did so since it was read as
    ``there``. Raises `ClusterError`."""
    name, read = there["metadata"]["name"], there
    path = configurations_path(cluster.namespace, name)
    for _ in range(_TRIES):
        written = {
            "/metadata/resourceVersion": read["metadata"]["resourceVersion"],
            "/metadata/annotations": annotations,
            "/spec": spec,
        }
        changes = [{"op": "add", "path": it, "value": value} for it, value in written.items()]
        try:
            return cluster.send("PATCH", path, changes, JSON_PATCH, fieldManager=FIELD_MANAGER)
        except ConflictError:
            read = one(cluster, name)
            if _written(read) != _written(there):
                break
    raise ClusterError(f"somebody else changed {name} at the same time: look at it, then try again")


def _written(body: Object) -> tuple[str, Object, Object]:
    """What people write of an AppNetConfig; the controller writes the rest."""
    metadata = body["metadata"]
    return metadata["uid"], metadata.get("annotations") or {}, body["spec"]


def delete(cluster: Cluster, name: str) -> None:
    """Asks for an AppNetConfig to go, which waits for its controller. Raises `ClusterError`."""
    one(cluster, name)
    cluster.delete(configurations_path(cluster.namespace, name))
