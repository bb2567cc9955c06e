"""The emulator's HTTP servers: Graph and Entra over HTTPS with a CA of its own, the control port over plain HTTP."""

import asyncio
import hashlib
import json
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from gateway.emulator.asking import Request
from gateway.emulator.clock import Clock
from gateway.emulator.control import control_app, reset
from gateway.emulator.entra import Entra
from gateway.emulator.errors import NO_REASON, EntraError, GraphError, internal, throttled
from gateway.emulator.faults import Fault
from gateway.emulator.graph import Graph, Routes
from gateway.emulator.intune import Intune
from gateway.emulator.seeds import Seeds, kept
from gateway.emulator.state import OBJECTS, keep, taken_up
from gateway.emulator.unconfirmed import Unconfirmed
from gateway.emulator.wire import answer, unsigned
from gateway.emulator.world import World

HOST = "127.0.0.1"
HIDDEN_HEADERS = {"authorization"}
OK = 200
NO_FAULT = Fault()
DEFAULTS: dict[int, Callable[[], GraphError]] = {
    429: lambda: throttled(None, as_flat=False),
    500: internal,
    503: lambda: GraphError(503, "ServiceUnavailable", NO_REASON),
}


class Emulator:
    """Serves inside `async with`. Its folder has `ca.pem` and `secret`. The folder is temporary, unless `state` names one: then
    the next emulator with that folder has the same port, authority, tenant, app and secret (see state.py).

    port, control_port: 0 means any free port. routes: `live` as in the real service, or `documented`. page_size: rows in a page
    of Graph's lists. seeds: a file with the initial objects (seeds.Seeds). keep_objects: at the end the objects are written to
    `state`, and the next emulator starts with them. Raises OSError and ValueError for wrong seeds, ModuleNotFoundError without
    the extra `emulator`.
    """

    def __init__(
        self,
        port: int = 0,
        routes: Routes = "live",
        control_port: int = 0,
        page_size: int = 100,
        state: Path | None = None,
        seeds: Path | None = None,
        keep_objects: bool = False,
    ) -> None:
        if find_spec("trustme") is None:
            raise ModuleNotFoundError("the emulator needs trustme: pip install 'compliance-gateway[emulator]'", name="trustme")
        clock = Clock()
        unconfirmed = Unconfirmed()
        entra, intune = Entra(clock), Intune(clock, unconfirmed)
        graph = Graph(entra, intune, page_size, clock=clock, routes=routes, unconfirmed=unconfirmed)
        self._kept = state / OBJECTS if state and keep_objects else None
        source = self._kept if self._kept and self._kept.exists() else seeds
        self.world = World(clock, entra, intune, graph, Seeds.read(source) if source else Seeds(), unconfirmed)
        self._port, self._control_port = port, control_port
        self._runners: list[web.AppRunner] = []
        self._temporary = None if state else tempfile.TemporaryDirectory(prefix="compliance-gateway-emulator-")
        self.folder = state or Path(self._temporary.name if self._temporary else ".")
        self.root = self.control = ""

    async def __aenter__(self) -> Self:
        entra = self.world.entra
        authority, port_before = taken_up(self.folder, entra)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(HOST, "localhost").configure_cert(tls)
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_response_prepare.append(unsigned)
        port = await self._serve(app, self._port or port_before, tls)
        self.root = entra.root = f"https://{HOST}:{port}"
        keep(self.folder, entra, port)
        self.control = f"http://{HOST}:{await self._serve(control_app(self.world), self._control_port, None)}"
        reset(self.world)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for runner in self._runners:
            # Abort without a TLS close: an idle client would not answer it, and the cleanup would wait for a time-out.
            for connection in runner.server.connections if runner.server else ():
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()
        await asyncio.gather(*self.world.drop_late(), return_exceptions=True)
        if self._kept is not None:
            self._kept.write_text(json.dumps(kept(self.world.intune, self.world.graph.trees), indent=1) + "\n")
        if self._temporary is not None:
            self._temporary.cleanup()

    async def _serve(self, app: web.Application, port: int, tls: ssl.SSLContext | None) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, HOST, port, ssl_context=tls)
        await site.start()
        return int(runner.addresses[0][1])

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in http.headers.items()}
        request = Request(http.method, http.raw_path, headers, await http.read())
        tenant, _, rest = request.path.lstrip("/").partition("/")
        is_entra = rest.startswith(("v2.0/", "oauth2/", "discovery/"))
        entry = {} if is_entra else self._log(request)
        fault = self.world.faults.take(request.method, request.path, request.body) or NO_FAULT
        resets = self.world.resets
        if fault.until:
            await fault.until.wait()
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if self.world.resets != resets:
            return _cut(http)
        response = None
        if fault.carried_out:
            response = (
                await self._entra(http, tenant, rest) if is_entra else self._graph(http, replace(request, page=fault.page))
            )
        elif fault.effect == "late" and not is_entra:
            self._carry_out_late(http, request, entry, fault.late_s)
        if fault.status is not None and fault.cut != "before":
            response = self._ordered(http, request, fault)
        if response is None:
            return _cut(http)
        entry |= {"status": response.status, "answer": _parsed(response.body)}
        response.headers.update(fault.answer_headers)
        return _cut(http) if fault.cut else response

    def _carry_out_late(self, http: web.Request, request: Request, entry: dict[str, Any], late_s: float) -> None:
        async def late() -> None:
            await asyncio.sleep(late_s)
            entry["late_status"] = self._graph(http, request).status

        entry |= {"late": True, "late_status": None}
        task = asyncio.get_running_loop().create_task(late())
        self.world.outstanding.add(task)
        task.add_done_callback(self.world.outstanding.discard)

    def _log(self, request: Request) -> dict[str, Any]:
        headers = {name: value for name, value in request.headers.items() if name not in HIDDEN_HEADERS}
        entry = {
            "method": request.method,
            "path": request.path,
            "status": None,
            "body": _parsed(request.body),
            "headers": headers,
            "bearer": hashlib.sha256(request.headers.get("authorization", "").encode()).hexdigest()[:8],
            "at": self.world.clock.now(),
        }
        self.world.requests.append(entry)
        return entry

    def _graph(self, http: web.Request, request: Request) -> web.Response:
        asked = self.world.graph.asked(request)
        try:
            done = self.world.graph.answer(request)
        except GraphError as exc:
            return answer(http, asked, exc.status, exc.body(asked), exc.headers)
        return answer(http, asked, done.status, done.json)

    def _ordered(self, http: web.Request, request: Request, fault: Fault) -> web.Response:
        asked, status = self.world.graph.asked(request), fault.status or OK
        body = DEFAULTS.get(status, lambda: GraphError(status, "UnknownError", NO_REASON))().body(asked)
        return answer(http, asked, status, body if fault.body is None else fault.body)

    async def _entra(self, http: web.Request, tenant: str, rest: str) -> web.Response:
        try:
            answer = await self._entra_answer(http, tenant, rest)
        except EntraError as exc:
            return web.json_response(exc.body(), status=exc.status)
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def _entra_answer(self, http: web.Request, tenant: str, rest: str) -> dict[str, Any]:
        entra = self.world.entra
        if rest == "oauth2/v2.0/token" and http.method == "POST":
            form = {key: str(value) for key, value in (await http.post()).items()}
            return entra.token(tenant, form)
        if rest == "v2.0/.well-known/openid-configuration":
            return entra.discovery(tenant)
        if rest == "discovery/v2.0/keys":
            return entra.keys()
        raise EntraError(404, "invalid_request", 900561, "The endpoint does not exist.")


def _parsed(body: Any) -> Any:
    """A body for the log: parsed JSON, or text if it is not JSON."""
    if not isinstance(body, bytes) or not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _cut(http: web.Request) -> web.Response:
    if http.transport is not None:
        http.transport.abort()
    return web.Response()
