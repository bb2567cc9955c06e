"""The admin door, for operators and what watches the gateway: metrics, how it is in detail, who has what of the quota, and
gRPC's own counts of its connections (channelz) as JSON. It asks for no token, and metrics name callers: so it has a port of its
own, on loopback."""

import re
from collections.abc import Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.config import Server
from gateway.config.doors import is_loopback
from gateway.doors.rest_pages import json_page, readiness
from gateway.errors import GatewayError, invalid

# A method's name and its query -> JSON. Raises GatewayError.
Channelz = Callable[[str, Mapping[str, str]], str]


class AdminDoor:
    """Serves on `settings.admin`. quotas: JSON of each tenant's, by name. address: host and port, after `start`."""

    def __init__(self, settings: Server, channelz: Channelz, quotas: Callable[[], str] = lambda: "{}") -> None:
        self._settings, self._channelz, self._quotas = settings, channelz, quotas
        self._health: dict[str, str] = {}
        self._serving = False
        on_loopback = is_loopback(settings.admin.rpartition(":")[0])
        app = web.Application(middlewares=[_by_its_own_name] if on_loopback else [])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", _metrics)
        app.router.add_get("/channelz/{method}", self._answer_channelz)
        app.router.add_get("/quota", self._quota)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=settings.idle_s, shutdown_timeout=0)
        self.address = ""

    async def start(self) -> None:
        """Binds and serves. Raises OSError where the address cannot be bound."""
        host, _, port = self._settings.admin.rpartition(":")
        await self._runner.setup()
        await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        self.address = f"{host}:{self._runner.addresses[0][1]}"
        self._serving = True

    async def say_health(self, name: str, *, healthy: bool, why: str = "") -> None:
        """What `/healthz` and `/readyz` say of `name`."""
        self._health[name] = "up" if healthy else f"down: {why}" if why else "down"

    async def leave(self) -> None:
        """Says from now on that the gateway is not ready."""
        self._serving = False

    async def stop(self, grace: float) -> None:  # noqa: ARG002 - nothing here takes long
        """Ends."""
        await self._runner.cleanup()

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


@web.middleware
async def _by_its_own_name(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page in an operator's browser can give loopback a name of its own (DNS rebinding), and would read all of this."""
    if not is_loopback(re.sub(r":\d+$", "", request.host)):
        return json_page(421, error="ask for this by a loopback address or localhost")
    return await handler(request)


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def number_of(query: Mapping[str, str], name: str) -> int:
    """A query option that is a number; 0 where it is absent. Raises INVALID_FIELD."""
    value = query.get(name, "0")
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise invalid(name, "has to be a whole number")
    return int(value)
