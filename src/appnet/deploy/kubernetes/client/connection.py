"""The way to the cluster that kubectl is configured for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
from lightkube.config.client_adapter import Client, ConnectionParams
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError

from appnet.deploy.kubernetes.client.cluster import Cluster, ClusterError, Request

_TIMEOUT_SECONDS = 15.0
_REMEDY = "set KUBECONFIG to the file that says how to reach one"
_CHECK = "check that it runs, and that your kubeconfig has its address"


@dataclass(frozen=True)
class _Http:
    client: httpx.Client
    server: str

    def send(self, request: Request) -> tuple[int, str]:
        with self._told():
            answer = self.client.send(self._built(request, httpx.Timeout(_TIMEOUT_SECONDS)))
            return answer.status_code, answer.text

    @contextmanager
    def lines(self, request: Request) -> Iterator[tuple[int, Iterator[str]]]:
        with self._told():
            answer = self.client.send(self._built(request, httpx.Timeout(_TIMEOUT_SECONDS, read=None)), stream=True)
            try:
                yield answer.status_code, answer.iter_lines()
            finally:
                answer.close()

    def _built(self, request: Request, timeout: httpx.Timeout) -> httpx.Request:
        return self.client.build_request(
            request.method,
            request.path,
            params=dict(request.parameters),
            content=request.body,
            headers=dict(request.headers),
            timeout=timeout,
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException:
            told = f"the cluster at {self.server} does not answer within {_TIMEOUT_SECONDS:.0f} s"
            raise ClusterError(f"{told}; {_CHECK}") from None
        except httpx.HTTPError as error:
            raise ClusterError(f"the cluster at {self.server} cannot be reached: {error}; {_CHECK}") from None
        except ConfigError as error:  # of the program that logs in, as the kubeconfig says
            told = f"cannot log in to the cluster at {self.server}: {error}"
            raise ClusterError(f"{told}; try whether kubectl can") from None


@contextmanager
def connected(namespace: str | None = None) -> Iterator[Cluster]:
    """The cluster. Raises `ClusterError` where none is configured."""
    try:
        found = _configured()
        client = Client(found, ConnectionParams(timeout=httpx.Timeout(_TIMEOUT_SECONDS)))
    except ClusterError:
        raise
    except (LookupError, TypeError, AttributeError):
        raise ClusterError(f"no cluster: the kubeconfig is not as kubectl writes them; {_REMEDY}") from None
    except Exception as error:  # lightkube's ConfigError, and what files bring that are no kubeconfig
        raise ClusterError(f"no cluster: {error or type(error).__name__}; {_REMEDY}") from None
    with client:
        yield Cluster(_Http(client, found.cluster.server), found.cluster.server, namespace or found.namespace)


def _configured() -> SingleConfig:
    """What KUBECONFIG names, or what the pod or the user has."""
    named = os.environ.get("KUBECONFIG", "")
    if os.pathsep in named.strip(os.pathsep):
        raise ClusterError("no cluster: KUBECONFIG names several files; name the one that has the cluster")
    if named:
        path = Path(named.strip(os.pathsep))
        if not path.is_file():
            raise ClusterError(f"no cluster: KUBECONFIG names {path}, and there is no such file")
        return _single(KubeConfig.from_file(path))
    if "KUBERNETES_SERVICE_HOST" not in os.environ and not Path("~/.kube/config").expanduser().is_file():
        raise ClusterError(f"no cluster: there is no ~/.kube/config; {_REMEDY}")
    return _single(KubeConfig.from_env())


def _single(config: KubeConfig) -> SingleConfig:
    found: SingleConfig | None = config.get()
    if found is None or found.user is None:
        raise ClusterError(f"no cluster: the kubeconfig has no current context with a user; {_REMEDY}")
    return found
