"""The admin door, for operators and monitoring: metrics, detailed health, use of the quota, and gRPC's statistics of its
connections (channelz) as JSON. It requires no token, and its metrics name callers, so it has a port of its own, on loopback.
With several workers each has this door, and answers for all."""

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.config import Server
from gateway.config.doors import is_loopback
from gateway.doors.connections import listening_at
from gateway.doors.rest_pages import json_page, readiness
from gateway.doors.together import Together
from gateway.errors import GatewayError, invalid
from gateway.metrics import counted
from gateway.odata import dumps
from gateway.worker import Worker

# A method's name and its query -> JSON. Raises GatewayError.
Channelz = Callable[[str, Mapping[str, str]], str]


class AdminDoor:
    """Serves on `settings.admin`. quotas: JSON of each tenant's, by name. worker: which of several this is, if there are
    several. address: host and port, after `start`."""

    def __init__(
        self,
        settings: Server,
        channelz: Channelz,
        quotas: Callable[[], str] = lambda: "{}",
        worker: Worker | None = None,
    ) -> None:
        self._settings, self._channelz, self._quotas, self._worker = settings, channelz, quotas, worker
        self._health: dict[str, str] = {}
        self._serving = False
        own = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": _metrics,
            "/channelz/{method}": self._answer_channelz,
            "/quota": self._quota,
        }
        runner = partial(web.AppRunner, access_log=None, keepalive_timeout=settings.idle_s, shutdown_timeout=0)
        middlewares = [_by_its_own_name] if is_loopback(settings.admin.rpartition(":")[0]) else []
        self._runner = runner(_app(own if worker is None else own | _of_all(Together(worker)), middlewares))
        self._own = runner(_app(own)) if worker else None
        self.address = ""

    async def start(self) -> None:
        """Binds and serves. Raises OSError where the address cannot be bound."""
        await self._runner.setup()
        shared = [socket.socket(fileno=number) for number in self._worker.admin[1]] if self._worker else []
        for one in shared or listening_at(self._settings.admin):
            await web.SockSite(self._runner, one).start()
        if self._own and self._worker:
            await self._own.setup()
            await web.UnixSite(self._own, self._worker.socket_of(self._worker.number)).start()
        self.address = f"{self._settings.admin.rpartition(':')[0]}:{self._runner.addresses[0][1]}"
        self._serving = True

    async def say_health(self, name: str, *, healthy: bool, why: str = "") -> None:
        """What `/healthz` and `/readyz` say of `name`."""
        self._health[name] = "up" if healthy else f"down: {why}" if why else "down"

    async def leave(self) -> None:
        """Says from now on that the gateway is not ready."""
        self._serving = False

    async def retire(self) -> None:
        """As `leave`, and lets the other workers answer."""
        await self.leave()
        for site in self._runner.sites:
            await site.stop()

    async def stop(self, grace: float) -> None:  # noqa: ARG002 - nothing here takes long
        """Ends."""
        await self._runner.cleanup()
        if self._own:
            await self._own.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return json_page(200, well=set(self._health.values()) <= {"up"}, **self._health)

    async def _readyz(self, _: web.Request) -> web.Response:
        return readiness(self._serving, self._health)

    async def _quota(self, _: web.Request) -> web.Response:
        return web.Response(text=self._quotas(), content_type="application/json")

    async def _answer_channelz(self, http: web.Request) -> web.Response:
        try:
            text = self._channelz(http.match_info["method"], http.query)
        except GatewayError as error:
            return json_page(error.reason.http, error=error.message)
        return web.Response(text=text, content_type="application/json")


def _app(pages: Mapping[str, Handler], middlewares: Sequence[Middleware] = ()) -> web.Application:
    app = web.Application(middlewares=middlewares)
    for path, page in pages.items():
        app.router.add_get(path, page)
    return app


def _of_all(workers: Together) -> dict[str, Handler]:
    """The pages that tell of all of them."""

    async def healthz(_: web.Request) -> web.Response:
        parts = await workers.health()
        return json_page(200, well=set(parts.values()) <= {"up"}, **parts)

    async def readyz(_: web.Request) -> web.Response:
        return readiness(await workers.ready(), await workers.health())

    async def quota(_: web.Request) -> web.Response:
        return web.Response(text=dumps(await workers.quotas()), content_type="application/json")

    async def channelz(http: web.Request) -> web.Response:
        rest = http.rel_url.without_query_params("worker")
        try:
            text = await workers.of_one(http.query.get("worker", ""), str(rest))
        except GatewayError as error:
            return json_page(error.reason.http, error=error.message)
        return web.Response(text=text, content_type="application/json")

    return {"/healthz": healthz, "/readyz": readyz, "/quota": quota, "/channelz/{method}": channelz}


@web.middleware
async def _by_its_own_name(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses other host names: a page in an operator's browser can give loopback a name of its own (DNS rebinding), and would
    read all of this."""
    if not is_loopback(re.sub(r":\d+$", "", request.host)):
        return json_page(421, error="this page is served only to requests for a loopback address or localhost")
    return await handler(request)


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(counted()), headers={"Content-Type": CONTENT_TYPE_LATEST})


def number_of(query: Mapping[str, str], name: str) -> int:
    """A query option that is a number; 0 where it is absent. Raises INVALID_FIELD."""
    value = query.get(name, "0")
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise invalid(name, "has to be a whole number")
    return int(value)
