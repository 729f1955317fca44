"""What ztunnel does on the client's side: each connection becomes a tunnel to the waypoint, by mTLS as the client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from appnet.system.address import Address

_TYPES = "type.googleapis.com/envoy.extensions"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HBONE = 15008


def tunnel_json(certificates: Path, waypoint: str, destination: Address, entrance: Address, admin: int) -> str:
    """The bootstrap of an Envoy that tunnels what comes to ``entrance``; ``certificates`` has those of the client."""
    proxy = {
        "@type": f"{_TYPES}.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "tunnel",
        "cluster": "waypoint",
        "tunneling_config": {"hostname": str(destination)},
    }
    listener = {
        "name": "entrance",
        "address": _address(entrance),
        "filter_chains": [{"filters": [{"name": "tunnel", "typed_config": proxy}]}],
    }
    endpoint = {"endpoint": {"address": _address(Address(waypoint, _HBONE))}}
    cluster = {
        "name": "waypoint",
        "type": "STATIC",
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {"cluster_name": "waypoint", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "transport_socket": {"name": "tls", "typed_config": _tls(certificates)},
    }
    static = {"listeners": [listener], "clusters": [cluster]}
    return json.dumps({"admin": {"address": _address(Address("127.0.0.1", admin))}, "static_resources": static})


def _tls(certificates: Path) -> dict[str, Any]:
    chain, key, root = ({"filename": str(certificates / f"{it}.pem")} for it in ("cert-chain", "key", "root-cert"))
    common = {
        "alpn_protocols": ["h2"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [{"certificate_chain": chain, "private_key": key}],
        "validation_context": {"trusted_ca": root},
    }
    return {"@type": f"{_TYPES}.transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": common}


def _address(address: Address) -> dict[str, Any]:
    return {"socket_address": {"address": address.host, "port_value": address.port}}
