"""The control port: JSON over plain HTTP on loopback, for tests that inspect or change the emulator.

Inspect: GET /state, GET /requests (each request to Graph), GET /effects (each write that was carried out, see intune.Effect).
Change: POST /reset, POST /policies, PUT /policies/{id}/assignments (as a foreign writer), POST /faults (one faults.Fault or a
list), POST /lag {seconds, hops}, POST /clock {advance_s}. Settings that a reset keeps: PUT /app (secrets, certificates, trusts,
identities, roles, lifetime), PUT /paging {page_size, empty_pages, expand_pages}, PUT /unconfirmed (Unconfirmed). Settings that
a reset undoes: PUT /throttle (limits), PUT /model {refused_types, refused_properties}, PUT /tenant {intune, approval}
(graph.Tenant). GET /msi/token is the machine's endpoint for managed identities.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import fields
from typing import Any, get_args

from aiohttp import web

from gateway.emulator.errors import EntraError, GraphError
from gateway.emulator.faults import Fault
from gateway.emulator.graph import Tenant
from gateway.emulator.registration import Trust
from gateway.emulator.throttle import Throttle
from gateway.emulator.unconfirmed import SentBack, Twice
from gateway.emulator.world import World

Handler = Callable[[World, web.Request, Any], Any]


def control_app(world: World) -> web.Application:
    """The application of the control port."""
    app = web.Application()
    for (method, path), handler in HANDLERS.items():
        app.router.add_route(method, path, _json_in_and_out(world, handler))
    return app


def reset(world: World) -> None:
    """Restores the initial state, except for the app, the keys, and the settings of /paging and /unconfirmed."""
    world.resets += 1
    world.clock.reset()
    world.faults.clear()
    world.requests.clear()
    world.entra.token_requests = 0
    world.drop_late()
    world.intune.clear()
    world.graph.throttle, world.graph.tenant = Throttle(), Tenant()
    world.seeds.put(world.intune, world.graph.trees, made_up=world.unconfirmed.made_up)


def _state(world: World, request: web.Request, body: Any) -> Any:
    policies = {p.id: {"displayName": p.display_name, "assignments": p.rows} for p in world.intune.policies.values()}
    now, tokens = world.clock.now(), world.entra.token_requests
    return {"policies": policies, "token_requests": tokens, "now": now, "late": world.late}


def _requests(world: World, request: web.Request, body: Any) -> Any:
    return world.requests


def _effects(world: World, request: web.Request, body: Any) -> Any:
    return [vars(effect) for effect in world.intune.effects]


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
    limits = ("app_writes", "app_requests", "tenant_writes", "tenant_requests", "directory_requests")
    _set(world.graph.throttle, body, dict.fromkeys(limits, lambda value: type(value) is int))


def _paging(world: World, request: web.Request, body: Any) -> None:
    switch = dict.fromkeys(("empty_pages", "expand_pages"), lambda value: isinstance(value, bool))
    _set(world.graph, body, {"page_size": lambda value: type(value) is int and value > 0, **switch})


def _model(world: World, request: web.Request, body: Any) -> None:
    _set(world.intune.model, body, dict.fromkeys(("refused_types", "refused_properties"), _names))


def _tenant(world: World, request: web.Request, body: Any) -> None:
    _set(world.graph.tenant, body, dict.fromkeys(("intune", "approval"), lambda value: isinstance(value, bool)))


def _unconfirmed(world: World, request: web.Request, body: Any) -> None:
    choices: dict[str, tuple[Any, ...]] = {"duplicates": get_args(Twice), "policy_set_rows": get_args(SentBack)}
    allowed = {field.name: choices.get(field.name, (True, False)) for field in fields(world.unconfirmed)}
    _set(world.unconfirmed, body, {name: _one_of(values) for name, values in allowed.items()})


def _one_of(values: tuple[Any, ...]) -> Callable[[Any], bool]:
    return lambda value: any(value is known or (isinstance(value, str) and value == known) for known in values)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _set(target: object, body: dict[str, Any], allowed: dict[str, Callable[[Any], bool]]) -> None:
    """Sets all attributes that `body` names, or none. Raises ValueError for an unknown name or a value that is not allowed."""
    for name, value in body.items():
        if name not in allowed or not allowed[name](value):
            raise ValueError(f"no such setting, or not its value: {name}")
    for name, value in body.items():
        setattr(target, name, value)


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
    ("GET", "/effects"): _effects,
    ("POST", "/reset"): _reset,
    ("POST", "/policies"): _add_policy,
    ("PUT", "/policies/{id}/assignments"): _set_rows,
    ("POST", "/faults"): _faults,
    ("POST", "/lag"): _lag,
    ("POST", "/clock"): _clock,
    ("PUT", "/throttle"): _throttle,
    ("PUT", "/paging"): _paging,
    ("PUT", "/model"): _model,
    ("PUT", "/tenant"): _tenant,
    ("PUT", "/unconfirmed"): _unconfirmed,
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
