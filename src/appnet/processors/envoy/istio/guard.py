"""A filter's place in a sidecar that refuses what it is to judge until its code is there."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.rbac.v3 import rbac_pb2 as rules
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.type.matcher.v3.path_pb2 import PathMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from appnet.processors.envoy.listeners import discovered_filter

_TIMEOUT_SECONDS = 2
"""How long a listener waits for the code. Without an end, a sidecar whose code never comes would never be ready."""

_POLICY = "appnet-has-no-code-yet"


def guarded_filter(name: str, methods: Iterable[str]) -> HttpFilter:
    """The filter ``name``, whose configuration comes by ECDS.

    While there is none, since it has not come yet or the proxy refused the first one, calls of the methods (paths) are
    PERMISSION_DENIED; others pass.
    """
    guarded = discovered_filter(name)
    discovery = guarded.config_discovery
    discovery.config_source.initial_fetch_timeout.FromSeconds(_TIMEOUT_SECONDS)
    policy = rules.Policy(permissions=map(_permission, sorted(methods)), principals=[rules.Principal(any=True)])
    denied = rules.RBAC(action=rules.RBAC.DENY, policies={_POLICY: policy})
    discovery.default_config.Pack(RBAC(rules=denied))
    discovery.type_urls.append(discovery.default_config.type_url)
    return guarded


def _permission(method: str) -> rules.Permission:
    return rules.Permission(url_path=PathMatcher(path=StringMatcher(exact=method)))
