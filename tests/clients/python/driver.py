"""Carries out what tests/clients asks for, a JSON object a line, through the helper. See tests/clients/driver.py."""

import base64
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from compliance_gateway import (
    GatewayError,
    all_devices,
    all_users,
    collection,
    connect,
    excluding,
    exclusion,
    group,
    including,
    token_file,
)
from compliance_gateway.v1 import compliance_assignment_service_pb2, compliance_policy_service_pb2


def target(ask: dict) -> object:
    narrowed = (including if ask["include"] else excluding)(ask["filter"]) if ask["filter"] else None
    match ask["target"]:
        case "exclusion":
            return exclusion(ask["id"])
        case "group":
            return group(ask["id"], narrowed)
        case "collection":
            return collection(ask["id"], narrowed)
        case "all_users":
            return all_users(narrowed)
        case "all_devices":
            return all_devices(narrowed)


def call(gateway: object, ask: dict) -> dict:
    name = f"{ask['method']}Request"
    files = (compliance_assignment_service_pb2, compliance_policy_service_pb2)
    request = next(getattr(file, name) for file in files if hasattr(file, name)).FromString(base64.b64decode(ask["request"]))
    timeout = ask["timeout_ms"] / 1000 if ask["timeout_ms"] else None
    try:
        return {**response(getattr(gateway, ask["method"])(request, timeout=timeout)), "answer": said()}
    except GatewayError as error:
        return {
            "error": {
                "code": error.code().value[0],
                "reason": error.reason,
                "message": error.details(),
                "fields": list(error.fields),
                "retry_after_ms": round((error.retry_after or 0) * 1000),
                "graph_request_id": error.graph_request_id,
                "reserved": error.reserved,
                "request_id": error.request_id,
            },
            "answer": said(),
        }


def said() -> dict:
    if not heard:
        return {}
    limit = heard[-1].rate_limit
    return {**asdict(heard[-1]), "rate_limit": asdict(limit) if limit else None}


def response(message: object) -> dict:
    return {"response": base64.b64encode(message.SerializeToString()).decode()}


env = os.environ
token = token_file(env["GATEWAY_TOKEN_FILE"]) if env.get("GATEWAY_TOKEN_FILE") else None
certificate = Path(env["GATEWAY_CERTIFICATE"]).read_bytes() if env.get("GATEWAY_CERTIFICATE") else None
ca = Path(env["GATEWAY_CA"]).read_bytes() if env.get("GATEWAY_CA") else None
heard = []
options = {
    "tenant": env.get("GATEWAY_TENANT") or None,
    "plain_text": ca is None,
    "timeout": float(env.get("GATEWAY_TIMEOUT", "30")),
    "patience": float(env.get("GATEWAY_PATIENCE", "0")),
    "on_answer": heard.append,
}
with connect(env["GATEWAY_ADDRESS"], token, ca=ca, certificate=certificate, key=certificate, **options) as gateway:
    for line in sys.stdin:
        ask = json.loads(line)
        print(json.dumps(response(target(ask)) if ask["target"] else call(gateway, ask)), flush=True)
