"""Cross-origin requests (the Fetch standard): which pages browsers may let read answers. Pages authenticate with a token;
cookies and client certificates are never allowed for them."""

from collections.abc import Collection

from aiohttp import hdrs, web

METHODS = "GET, HEAD, POST, PATCH, DELETE"
SENT = "authorization, content-type, consistencylevel, prefer, if-match, if-none-match, idempotency-key, x-graph-tenant, "
SENT += "client-request-id"
SHOWN = "etag, location, preference-applied, request-id, client-request-id, retry-after, ratelimit, "
SHOWN += "ratelimit-policy, www-authenticate, compliance-gateway-warning"
KEPT_S = "600"


class Cors:
    """origins: those that are let."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def asks(self, http: web.BaseRequest) -> bool:
        """Whether this is a browser's question before the request itself, and is answered."""
        asks = http.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in http.headers
        return asks and http.headers.get(hdrs.ORIGIN) in self._origins

    def answer(self, http: web.BaseRequest) -> web.Response:
        """To that question."""
        more = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Allow-Headers": SENT}
        headers = {**self.headers(http), **more, "Access-Control-Max-Age": KEPT_S, "Server": "compliance-gateway"}
        return web.Response(status=204, headers=headers)

    def headers(self, http: web.BaseRequest) -> dict[str, str]:
        """Of every other answer."""
        if not self._origins:
            return {}
        origin = http.headers.get(hdrs.ORIGIN, "")
        allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": SHOWN}
        return {hdrs.VARY: "Accept-Encoding, Origin", **(allowed if origin in self._origins else {})}
