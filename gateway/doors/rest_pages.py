"""The REST door's pages beside the operations: health, the API's description and its documentation. They need no token, and
show nothing about tenants' data or callers."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files

from aiohttp import web

from gateway.odata import dumps

Page = Callable[[web.BaseRequest], Awaitable[web.Response]]

UI_PACKAGE = "swagger_ui"  # swagger-ui-py, of the extra `docs`: nothing is fetched from elsewhere
UI_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
DOCS = files("gateway.doors") / "docs"
HTML = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
NO_UI = (
    "This page needs Swagger UI, which is not installed: pip install 'compliance-gateway[docs]'. "
    "The description itself is at /openapi.json.\n"
)


class Pages:
    """The pages by path. health: name -> up or down; empty until the door serves. all_ready: whether all workers are, where
    there are several."""

    def __init__(self, all_ready: Callable[[], Awaitable[bool]] | None = None) -> None:
        self.health: dict[str, str] = {}
        self.serving = False
        self._all_ready = all_ready
        openapi = (DOCS / "openapi.json").read_bytes()
        fixed = {
            "/openapi.json": (openapi, "application/json"),
            **_documentation(),
        }
        self._pages: Mapping[str, Page] = {
            "/healthz": _healthz,
            "/readyz": self._readyz,
            "/docs": _no_ui,
            **{path: _page(*content) for path, content in fixed.items()},
        }

    def find(self, path: str) -> Page | None:
        """What answers GET at this path."""
        return self._pages.get(path)

    async def _readyz(self, _: web.BaseRequest) -> web.Response:
        return readiness(self.serving and (self._all_ready is None or await self._all_ready()), self.health)


async def _healthz(_: web.BaseRequest) -> web.Response:
    return json_page(200, well=True)


async def _no_ui(_: web.BaseRequest) -> web.Response:
    return web.Response(status=501, text=NO_UI)


def _documentation() -> dict[str, tuple[bytes, str]]:
    """The pages of Swagger UI; none where it is not installed."""
    try:
        ui = files(UI_PACKAGE) / "static"
    except ModuleNotFoundError:
        return {}
    return {
        "/docs": ((DOCS / "index.html").read_bytes(), "text/html"),
        "/docs/start.js": ((DOCS / "start.js").read_bytes(), "text/javascript"),
        **{f"/docs/{name}": ((ui / name).read_bytes(), kind) for name, kind in UI_FILES.items()},
    }


def readiness(serving: bool, health: Mapping[str, str]) -> web.Response:
    """200 while calls are taken. The body has the other faults: with the ledger down, for example, reads go on."""
    return json_page(200 if serving else 503, ready=serving, **health)


def json_page(status: int, **facts: object) -> web.Response:
    """A page of these facts."""
    return web.Response(status=status, text=dumps(facts), content_type="application/json")


def _page(content: bytes, content_type: str) -> Page:
    async def page(_: web.BaseRequest) -> web.Response:
        return web.Response(body=content, content_type=content_type, charset="utf-8", headers=HTML)

    return page
