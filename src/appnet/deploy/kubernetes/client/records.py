"""What the controller says: through the API server where it runs in the cluster, else from its host."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from appnet.deploy.kubernetes.client.cluster import Cluster, ClusterError, ForbiddenError, MissingError
from appnet.deploy.kubernetes.names import CONTROLLER, SYSTEM
from appnet.system.address import Address

USUAL = Address("127.0.0.1", 8081)
"""Where a controller says how it is, unless it is told otherwise."""

_TIMEOUT_SECONDS = 15.0
_SERVICE = f"/api/v1/namespaces/{SYSTEM}/services/{CONTROLLER}"
_PROXY = f"{_SERVICE}:8081/proxy"
_START = "`make run` or `make deploy` starts one"
_REMEDY = "if it runs outside the cluster, give the address of its --status as --controller"


@dataclass(frozen=True)
class RecordsAsked:
    """The last ``tail`` ones, or all of the last ``since`` seconds; of these ``elements`` in this ``namespace``, empty
    for all; and those that come, where somebody wants to ``follow``."""

    tail: int | None = 10
    since: float = 0.0
    elements: frozenset[str] = frozenset()
    namespace: str = ""
    follow: bool = False

    @property
    def query(self) -> dict[str, str]:
        """As the page of records is asked."""
        found = {
            "tail": "" if self.tail is None else str(self.tail),
            "since": str(self.since) if self.since else "",
            "element": ",".join(sorted(self.elements)),
            "namespace": self.namespace,
            "follow": "true" if self.follow else "",
        }
        return {name: it for name, it in found.items() if it}


@dataclass(frozen=True)
class TracesAsked:
    """The trace of this ``id``; or the ``last`` ones, of the last ``since`` seconds if that is not 0; and those that
    come, where somebody wants to ``follow``."""

    id: str = ""
    last: int | None = None
    since: float = 0.0
    follow: bool = False

    @property
    def query(self) -> dict[str, str]:
        """As the page of traces is asked."""
        found = {
            "id": self.id,
            "last": "" if self.last is None else str(self.last),
            "since": str(self.since) if self.since else "",
            "follow": "true" if self.follow else "",
        }
        return {name: it for name, it in found.items() if it}


class Controller(Protocol):
    """Whom to ask. Its methods raise `ClusterError`."""

    def native(self, namespace: str, processor: str) -> dict[str, Any]:
        """What pods need to run its native modules: ``objects``, and what a pod's ``template`` has."""

    def totals(self, ago: float = 0) -> dict[str, Any]:
        """What chains have counted, as `appnet.observe.totals_page` has it; or had counted ``ago`` seconds ago."""

    def refusals(self, call: str, element: str) -> dict[str, Any]:
        """The refusals of a call, or the last one of an element, as `appnet.behaviour.explained` has them."""

    def sums(self, ago: float = 0) -> dict[str, Any]:
        """``streams`` of records, each with element, variable, count, latest, median and p99; or their counts ``ago``
        seconds ago. ``lost``: lines that tell what is not kept."""

    def records(self, asked: RecordsAsked) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """Those that are asked for, one after another."""

    def traces(self, asked: TracesAsked) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """Likewise, each a ``trace_id`` and its ``spans``, as `appnet.observe.spans_kept` has them."""


class InCluster:
    """The one behind the Service, by way of the API server."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def native(self, namespace: str, processor: str) -> dict[str, Any]:
        """As `Controller` says."""
        with _behind_service():
            return self._cluster.get(f"{_PROXY}/native", namespace=namespace, processor=processor)

    def totals(self, ago: float = 0) -> dict[str, Any]:
        """As `Controller` says."""
        with _behind_service():
            return dict(self._cluster.get(f"{_PROXY}/totals", ago=str(ago)))

    def refusals(self, call: str, element: str) -> dict[str, Any]:
        """As `Controller` says."""
        with _behind_service():
            return dict(self._cluster.get(f"{_PROXY}/refusals", call=call, element=element))

    def sums(self, ago: float = 0) -> dict[str, Any]:
        """As `Controller` says."""
        with _behind_service():
            return dict(self._cluster.get(f"{_PROXY}/records/sums", ago=str(ago)))

    def records(self, asked: RecordsAsked) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """As `Controller` says."""
        return self._lines("records", asked.query)

    def traces(self, asked: TracesAsked) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """As `Controller` says."""
        return self._lines("traces", asked.query)

    @contextmanager
    def _lines(self, page: str, query: dict[str, str]) -> Iterator[Iterator[dict[str, Any]]]:
        with _behind_service(), self._cluster.lines(f"{_PROXY}/{page}", **query) as lines:
            yield (json.loads(it) for it in lines if it)


@contextmanager
def _behind_service() -> Iterator[None]:
    """Tells of a Service that nobody is behind."""
    try:
        yield
    except ForbiddenError:
        raise
    except ClusterError as error:
        raise ClusterError(f"the controller behind the Service does not answer: {error}; {_REMEDY}") from None


class OnHost:
    """The one at ``address``. ``who`` is asked there, and ``remedy`` what to do where it does not answer."""

    def __init__(self, address: Address, who: str = "controller", remedy: str = f"{_START}; {_REMEDY}") -> None:
        self._address, self._who, self._remedy = address, who, remedy

    def native(self, namespace: str, processor: str) -> dict[str, Any]:
        """As `Controller` says."""
        query = urlencode({"namespace": namespace, "processor": processor})
        with self._asked(f"/native?{query}", _TIMEOUT_SECONDS) as answer:
            return _document(answer.read())

    def totals(self, ago: float = 0) -> dict[str, Any]:
        """As `Controller` says."""
        with self._asked(f"/totals?ago={ago}", _TIMEOUT_SECONDS) as answer:
            return _document(answer.read())

    def refusals(self, call: str, element: str) -> dict[str, Any]:
        """As `Controller` says."""
        with self._asked(f"/refusals?{urlencode({'call': call, 'element': element})}", _TIMEOUT_SECONDS) as answer:
            return _document(answer.read())

    def sums(self, ago: float = 0) -> dict[str, Any]:
        """As `Controller` says."""
        with self._asked(f"/records/sums?ago={ago}", _TIMEOUT_SECONDS) as answer:
            found = _document(answer.read())
            return {"streams": list(found["streams"]), "lost": list(found["lost"])}

    def records(self, asked: RecordsAsked) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """As `Controller` says."""
        return self._lines("records", asked.query)

    def traces(self, asked: TracesAsked) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """As `Controller` says."""
        return self._lines("traces", asked.query)

    @contextmanager
    def _lines(self, page: str, query: dict[str, str]) -> Iterator[Iterator[dict[str, Any]]]:
        seconds = 4 * _TIMEOUT_SECONDS  # a silent one sends empty lines
        with self._asked(f"/{page}?{urlencode(query)}", seconds) as answer:
            yield (_document(it) for it in answer if it.strip())

    @contextmanager
    def _asked(self, path: str, seconds: float) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._address.host, self._address.port, timeout=seconds)
        foreign = ClusterError(f"what answers at {self._address} is not AppNet's {self._who}; {self._remedy}")
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status == http.client.FORBIDDEN:
                raise ClusterError(f"{self._address} answers: {answer.read(200).decode(errors='replace').strip()}")
            if answer.status != http.client.OK:
                raise foreign
            yield answer
        except OSError as error:
            told = f"no {self._who} answers at {self._address}: {error.strerror or error}; {self._remedy}"
            raise ClusterError(told) from None
        except (http.client.HTTPException, ValueError, KeyError):
            raise foreign from None
        finally:
            connection.close()


def _document(text: bytes) -> dict[str, Any]:
    """Raises `ValueError` for what is no object of JSON."""
    try:
        found = json.loads(text)
    except RecursionError:
        found = None
    if not isinstance(found, dict):
        raise ValueError("it is no object of JSON")  # noqa: TRY004 -- as where it is no JSON
    return found


def controller_of(cluster: Cluster) -> Controller:
    """The one of the cluster, or else one on this host. Raises `ClusterError` where there is neither."""
    try:
        cluster.get(_SERVICE)
    except MissingError:
        found = OnHost(USUAL)
        found.sums()
        return found
    return InCluster(cluster)
