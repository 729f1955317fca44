"""Who a proxy is: what its service-account token or its workload's certificate proves."""

from __future__ import annotations

from appnet.deploy.kubernetes.operator.api import Api
from appnet.processors.processor import AUDIENCE, Authenticate, Caller

_AUDIENCES = ["istio-ca", AUDIENCE]
"""Of the tokens that proxies get from Istio, and programs from pods; they prove nothing to the API server itself."""


def authenticated_by(api: Api) -> Authenticate:
    """Asks the API server about tokens; whoever cannot be asked about is told to come back. A certificate was verified
    when it was shown."""

    async def authenticate(token: str | None, uri: str | None) -> Caller | None:
        if uri is not None:
            return _of_uri(uri)
        return await api.caller(token, _AUDIENCES) if token is not None else None

    return authenticate


def _of_uri(uri: str) -> Caller | None:
    """Of spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT."""
    match uri.removeprefix("spiffe://").split("/"):
        case [_, "ns", namespace, "sa", account] if uri.startswith("spiffe://") and namespace and account:
            return Caller(namespace, account)
        case _:
            return None
