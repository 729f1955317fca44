"""What the controller says: through the API server where it runs in the cluster, else from its host."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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


class Controller(Protocol):
    """Whom to ask. Its methods raise `ClusterError`."""

    def native(self, namespace: str, processor: str) -> dict[str, Any]:
        """What pods need to run its native modules: ``objects``, and what a pod's ``template`` has."""

    def totals(self) -> dict[str, Any]:
        """What chains have counted, as `appnet.observe.totals_page` has it."""

    def refusals(self, call: str, element: str) -> dict[str, Any]:
        """The refusals of a call, or the last one of an element, as `appnet.behaviour.explained` has them."""

    def sums(self) -> list[dict[str, Any]]:
        """Each stream of records: element, variable, count, latest, median and p99."""

    def records(self, tail: int, *, follow: bool) -> AbstractContextManager[Iterator[dict[str, Any]]]:
        """The last ones, and those that come."""


class InCluster:
    """The one behind the Service, by way of the API server."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def native(self, namespace: str, processor: str) -> dict[str, Any]:
        """As `Controller` says."""
        with _behind_service():
            return self._cluster.get(f"{_PROXY}/native", namespace=namespace, processor=processor)

    def totals(self) -> dict[str, Any]:
        """As `Controller` says."""
        with _behind_service():
            return dict(self._cluster.get(f"{_PROXY}/totals"))

    def refusals(self, call: str, element: str) -> dict[str, Any]:
        """As `Controller` says."""
        with _behind_service():
            return dict(self._cluster.get(f"{_PROXY}/refusals", call=call, element=element))

    def sums(self) -> list[dict[str, Any]]:
        """As `Controller` says."""
        with _behind_service():
            return list(self._cluster.get(f"{_PROXY}/records/sums")["streams"])

    @contextmanager
    def records(self, tail: int, *, follow: bool) -> Iterator[Iterator[dict[str, Any]]]:
        """As `Controller` says."""
        query = {"tail": str(tail), "follow": str(follow).lower()}
        with _behind_service(), self._cluster.lines(f"{_PROXY}/records", **query) as lines:
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

    def totals(self) -> dict[str, Any]:
        """As `Controller` says."""
        with self._asked("/totals", _TIMEOUT_SECONDS) as answer:
            return _document(answer.read())

    def refusals(self, call: str, element: str) -> dict[str, Any]:
        """As `Controller` says."""
        with self._asked(f"/refusals?{urlencode({'call': call, 'element': element})}", _TIMEOUT_SECONDS) as answer:
            return _document(answer.read())

    def sums(self) -> list[dict[str, Any]]:
        """As `Controller` says."""
        with self._asked("/records/sums", _TIMEOUT_SECONDS) as answer:
            return list(_document(answer.read())["streams"])

    @contextmanager
    def records(self, tail: int, *, follow: bool) -> Iterator[Iterator[dict[str, Any]]]:
        """As `Controller` says."""
        query = urlencode({"tail": tail, "follow": str(follow).lower()})
        with self._asked(f"/records?{query}", 4 * _TIMEOUT_SECONDS) as answer:  # a silent one sends empty lines
            yield (_document(it) for it in answer if it.strip())

    @contextmanager
    def _asked(self, path: str, seconds: float) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._address.host, self._address.port, timeout=seconds)
        foreign = ClusterError(f"what answers at {self._address} is not AppNet's {self._who}; {self._remedy}")
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
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
