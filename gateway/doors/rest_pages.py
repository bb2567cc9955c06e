"""What the REST door serves besides the operations: health, the API's description and its documentation. No page needs a
token; none says anything of a tenant's data or of callers."""

from collections.abc import Callable, Mapping
from importlib.resources import files

from aiohttp import web

from gateway.odata import dumps

UI_PACKAGE = "swagger_ui"  # swagger-ui-py, of the extra `docs`: nothing is fetched from elsewhere
UI_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
DOCS = files("gateway.doors") / "docs"
HTML = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
NO_UI = (
    "This page needs Swagger UI, which the gateway was installed without: pip install 'compliance-gateway[docs]'. "
    "The description itself is at /openapi.json.\n"
)


class Pages:
    """The pages by path. health: name -> up or down; empty until the door serves."""

    def __init__(self) -> None:
        self.health: dict[str, str] = {}
        self.serving = False
        openapi = (DOCS / "openapi.json").read_bytes()
        fixed = {
            "/openapi.json": (openapi, "application/json"),
            **_documentation(),
        }
        self._pages: Mapping[str, Callable[[web.BaseRequest], web.Response]] = {
            "/healthz": lambda _: json_page(200, well=True),
            "/readyz": self._readyz,
            "/docs": lambda _: web.Response(status=501, text=NO_UI),
            **{path: _page(*content) for path, content in fixed.items()},
        }

    def find(self, path: str) -> Callable[[web.BaseRequest], web.Response] | None:
        """What answers GET at this path."""
        return self._pages.get(path)

    def _readyz(self, _: web.BaseRequest) -> web.Response:
        return readiness(self.serving, self.health)


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
    """200 while calls are taken; what is not well besides is in the body: with the ledger down, reads go on."""
    return json_page(200 if serving else 503, ready=serving, **health)


def json_page(status: int, **facts: object) -> web.Response:
    """A page of these facts."""
    return web.Response(status=status, text=dumps(facts), content_type="application/json")


def _page(content: bytes, content_type: str) -> Callable[[web.BaseRequest], web.Response]:
    return lambda _: web.Response(body=content, content_type=content_type, charset="utf-8", headers=HTML)
