"""The control port: plain HTTP on loopback, JSON; the tests' way to look and to interfere.

GET /state, GET /requests; POST /reset, POST /policies, PUT /policies/{id}/assignments (a foreign writer), POST /faults,
POST /lag, POST /clock, PUT /throttle (limits), PUT /app (secrets, certificates, trusts, identities, roles, lifetime).
GET /msi/token is the machine's endpoint for managed identities.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.emulator.errors import EntraError, GraphError
from gateway.emulator.faults import Fault
from gateway.emulator.registration import Trust
from gateway.emulator.seeds import POLICIES
from gateway.emulator.throttle import Throttle
from gateway.emulator.world import World

Handler = Callable[[World, web.Request, Any], Any]


def control_app(world: World) -> web.Application:
    """The application of the control port."""
    app = web.Application()
    for (method, path), handler in HANDLERS.items():
        app.router.add_route(method, path, _json_in_and_out(world, handler))
    return app


def reset(world: World) -> None:
    """The state at the start; the app's secret and the keys stay."""
    world.resets += 1
    world.clock.reset()
    world.faults.clear()
    world.requests.clear()
    world.entra.token_requests = 0
    world.intune.lag, world.intune.hops = 0.0, False
    world.intune.policies.clear()
    world.graph.throttle = Throttle()
    for policy_id, name, rows in POLICIES:
        world.intune.add_policy(policy_id, name, rows)


def _state(world: World, request: web.Request, body: Any) -> Any:
    policies = {p.id: {"displayName": p.display_name, "assignments": p.rows} for p in world.intune.policies.values()}
    return {"policies": policies, "token_requests": world.entra.token_requests, "now": world.clock.now()}


def _requests(world: World, request: web.Request, body: Any) -> Any:
    return world.requests


def _reset(world: World, request: web.Request, body: Any) -> None:
    reset(world)


def _add_policy(world: World, request: web.Request, body: Any) -> None:
    world.intune.add_policy(body["id"], body["displayName"], body.get("assignments", []))


def _set_rows(world: World, request: web.Request, body: Any) -> None:
    rows = body["assignments"] if isinstance(body, dict) else body
    world.intune.set_rows(request.match_info["id"], rows)


def _faults(world: World, request: web.Request, body: Any) -> None:
    world.faults.order([Fault(**fault) for fault in (body if isinstance(body, list) else [body])])


def _lag(world: World, request: web.Request, body: Any) -> None:
    world.intune.lag, world.intune.hops = float(body["seconds"]), bool(body.get("hops", False))


def _clock(world: World, request: web.Request, body: Any) -> None:
    world.clock.advance(float(body["advance_s"]))


def _throttle(world: World, request: web.Request, body: Any) -> None:
    world.graph.throttle = Throttle()
    for name, limit in body.items():
        if name not in ("app_writes", "app_requests", "tenant_writes", "tenant_requests"):
            raise ValueError(f"no such limit: {name}")
        setattr(world.graph.throttle, name, int(limit))


def _app(world: World, request: web.Request, body: Any) -> None:
    lists = {"roles", "secrets", "expired_secrets", "certificates", "authorities", "subject_names", "identities"}
    for name in body.keys() & {"secret", "lifetime", *lists}:
        setattr(world.entra.app, name, body[name])
    if "federated" in body:
        world.entra.app.federated = [Trust(**trust) for trust in body["federated"]]


def _identity_token(world: World, request: web.Request, body: Any) -> Any:
    return world.entra.identity_token(request.headers.get("X-IDENTITY-HEADER", ""), request.query)


HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", "/msi/token"): _identity_token,
    ("GET", "/state"): _state,
    ("GET", "/requests"): _requests,
    ("POST", "/reset"): _reset,
    ("POST", "/policies"): _add_policy,
    ("PUT", "/policies/{id}/assignments"): _set_rows,
    ("POST", "/faults"): _faults,
    ("POST", "/lag"): _lag,
    ("POST", "/clock"): _clock,
    ("PUT", "/throttle"): _throttle,
    ("PUT", "/app"): _app,
}


def _json_in_and_out(world: World, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            text = await request.text()
            return web.json_response(handler(world, request, json.loads(text) if text else None))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            return web.json_response({"error": f"{type(exc).__name__}: {exc}"}, status=400)
        except EntraError as exc:
            return web.json_response(exc.body(), status=exc.status)
        except GraphError as exc:
            return web.json_response({"error": exc.code}, status=exc.status)

    return handle
