"""Paths and URLs of the Intune service behind Graph, as Graph's errors name them. They contain the month (facts §5)."""

import time
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

HOST = "https://fef.msub01.manage.microsoft.com"
SERVICE = "StatelessDeviceConfigurationFEService"
ACTION = "microsoft.management.services.api."
COLLECTIONS = ("deviceCompliancePolicies", "assignments")


class Asked(NamedTuple):
    """What an answer says about its request: Graph's ID, the client's ID (Graph's if none was sent), the backend's URL."""

    id: str
    client_id: str
    url: str


def backend_path(path: str, now: float) -> str:
    """The backend's path for a path of Graph: decoded, keys in parentheses, actions with their namespace, without the query.
    now: seconds since the epoch; its month is in the path."""
    _, *segments = urlsplit(path).path.lstrip("/").split("/")
    written = ""
    for before, segment in zip(["", *segments], map(unquote, segments), strict=False):
        if before in COLLECTIONS:
            written += f"('{segment}')"
        else:
            written += f"/{ACTION}{segment}" if segment == "assign" else f"/{segment}"
    return f"/DeviceConfiguration_{time.strftime('%y%m', time.gmtime(now))}/{SERVICE}{written}"


def backend_url(path: str, now: float) -> str:
    """The backend's URL for a request. In beta the `api-version` begins with 50 instead of 20, as in `5026-05-10`."""
    century = "50" if path.startswith("/beta/") else "20"
    query = urlsplit(path).query
    version = time.strftime(f"{century}%y-%m-01", time.gmtime(now))
    return f"{HOST}{quote(backend_path(path, now))}?api-version={version}{'&' if query else ''}{query}"
