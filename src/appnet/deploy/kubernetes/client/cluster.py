"""A cluster's API server as commands use it, and what can be wrong between them, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

from appnet.deploy.kubernetes.definition import GROUP, PLURAL, VERSION

FIELD_MANAGER = "appnetctl"
"""Whose fields those are that `appnetctl` writes."""

JSON, APPLY, MERGE = "application/json", "application/apply-patch+yaml", "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

_NOT_INSTALLED = (
    "the cluster does not know AppNetConfigs: install AppNet there first, by `make install`, `make deploy` or its "
    "Helm chart"
)

Object = dict[str, Any]


class ClusterError(Exception):
    """A command does not get what it wants from a cluster; the text says why, and what to do.

    ``wrong_input``: the command line or a file is to blame, and not the cluster.
    """

    def __init__(self, text: str, *, wrong_input: bool = False) -> None:
        super().__init__(text)
        self.wrong_input = wrong_input


class MissingError(ClusterError):
    """There is no object of this name."""


class ForbiddenError(ClusterError):
    """Whoever runs the command may not do that."""


class UnknownKindError(ClusterError):
    """The API server knows no objects of this kind."""


class ConflictError(ClusterError):
    """Others have written the object, or fields of it; ``causes`` are these: who, and which field."""

    def __init__(self, text: str, causes: list[tuple[str, str]]) -> None:
        super().__init__(text)
        self.causes = causes


@dataclass(frozen=True)
class Request:
    """One request. ``parameters`` are of its query."""

    method: str
    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Transport(Protocol):
    """Sends requests. Raises `ClusterError` where none answers."""

    def send(self, request: Request) -> tuple[int, str]:
        """The status and the text of the answer."""

    def lines(self, request: Request) -> AbstractContextManager[tuple[int, Iterator[str]]]:
        """The status, and the lines of the answer as they come."""


@dataclass(frozen=True)
class Cluster:
    """The cluster of ``server``, which ``namespace`` is meant in where nobody names one."""

    transport: Transport
    server: str
    namespace: str

    def get(self, path: str, **parameters: str) -> Object:
        """The object at a path of the API, or a list of them. Raises `ClusterError`."""
        return self.ask(Request("GET", path, parameters))

    def ask(self, request: Request) -> Object:
        """The answer as data. Raises `ClusterError` where the API server refuses."""
        status, text = self.transport.send(request)
        if status >= HTTPStatus.BAD_REQUEST:
            raise self._refusal(status, text, request.path)
        found: Object = json.loads(text)
        return found

    @contextmanager
    def lines(self, path: str, **parameters: str) -> Iterator[Iterator[str]]:
        """The lines of an answer as they come. Raises `ClusterError` where the API server refuses."""
        with self.transport.lines(Request("GET", path, parameters)) as (status, lines):
            if status >= HTTPStatus.BAD_REQUEST:
                raise self._refusal(status, "\n".join(lines), path)
            yield lines

    def send(self, method: str, path: str, body: Object | list[Object], kind: str = JSON, **parameters: str) -> Object:
        """Writes something; what it has become. Raises `ClusterError`."""
        headers = {"Content-Type": kind}
        return self.ask(Request(method, path, parameters, json.dumps(body), headers))

    def delete(self, path: str) -> bool:
        """Deletes an object; whether it was there. Raises `ClusterError`."""
        try:
            self.ask(Request("DELETE", path))
        except MissingError:
            return False
        return True

    def _refusal(self, status: int, text: str, path: str) -> ClusterError:
        """What an answer with such a status says, and what to do about it."""
        try:
            found = json.loads(text)
        except ValueError:
            found = {}
        if not isinstance(found, dict):
            found = {}
        message, details = str(found.get("message") or text.strip() or f"HTTP {status}"), found.get("details") or {}
        match status:
            case HTTPStatus.UNAUTHORIZED:
                return ClusterError(f"{self.server} does not know who you are: log in to the cluster again")
            case HTTPStatus.FORBIDDEN:
                return ForbiddenError(f"{message}\nask the administrator of the cluster for this right")
            case HTTPStatus.NOT_FOUND if not details.get("name"):
                return UnknownKindError(_NOT_INSTALLED if GROUP in path else f"the cluster has no {path}: {message}")
            case HTTPStatus.NOT_FOUND:
                return MissingError(message, wrong_input=True)
            case HTTPStatus.CONFLICT:
                return ConflictError(message, _conflicts(details.get("causes") or ()))
            case HTTPStatus.UNPROCESSABLE_ENTITY:
                return ClusterError(f"the API server refuses it: {message}", wrong_input=True)
        return ClusterError(f"the API server refuses: {message}")


def _conflicts(causes: Any) -> list[tuple[str, str]]:
    """Who has which field: the message is ``conflict with "kubectl" using …``."""
    found = []
    for it in causes:
        _, _, rest = str(it.get("message", "")).partition('"')
        found.append((rest.partition('"')[0], str(it.get("field", ""))))
    return found


def configurations_path(namespace: str | None = None, name: str = "") -> str:
    """The path of an AppNetConfig, of all of a namespace, or of all."""
    inside = f"/namespaces/{namespace}" if namespace is not None else ""
    return f"/apis/{GROUP}/{VERSION}{inside}/{PLURAL}{f'/{name}' if name else ''}"
