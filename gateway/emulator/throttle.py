"""Graph's throttling windows (facts §4): sliding, 20 s long, per app in a tenant and per tenant, for each service;
of DIRECTORY per app only."""

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

WINDOW_S = 20.0
DIRECTORY = ("groups", "directoryObjects")  # Entra's, with their own quota: 3,500 units an app in 10 s; a read is one unit


@dataclass
class Throttle:
    """Counts requests, refused ones included, so that a client that retries too early stays throttled. Retry-After is the time
    until the windows admit a request if none comes before. Refusals of DIRECTORY always have it, in whole seconds; of the
    others every second one, alternately in decimal seconds and as a date."""

    app_writes: int = 100
    app_requests: int = 1000
    tenant_writes: int = 200
    tenant_requests: int = 2000
    directory_requests: int = 7000
    _seen: dict[tuple[str, ...], deque[float]] = field(default_factory=dict, repr=False)
    _refusals: int = field(default=0, repr=False)

    def admit(self, service: str, tenant: str, app: str, write: bool, now: float) -> str | None:
        """None if the request is admitted. Otherwise the value of Retry-After, or "" for a refusal without it. now: seconds
        since the epoch."""
        if service in DIRECTORY:
            refused, wait = self._count((DIRECTORY[0], tenant, app), self.directory_requests, now)
            return str(math.ceil(wait)) if refused else None
        one, all_apps = (service, tenant, app), (service, tenant)
        windows = [(one, self.app_requests), (all_apps, self.tenant_requests)]
        if write:
            windows += [((*one, "w"), self.app_writes), ((*all_apps, "w"), self.tenant_writes)]
        waits = [self._count(key, limit, now) for key, limit in windows]
        if not any(refused for refused, _ in waits):
            return None
        return self._retry_after(max(wait for _, wait in waits), now)

    def _count(self, key: tuple[str, ...], limit: int, now: float) -> tuple[bool, float]:
        """Whether this window refuses the request, and the seconds until it admits the next one."""
        seen = self._seen.setdefault(key, deque())
        while seen and seen[0] <= now - WINDOW_S:
            seen.popleft()
        refused = len(seen) >= limit
        seen.append(now)
        if len(seen) < limit:
            return refused, 0.0
        return refused, (seen[-limit] if limit else now) + WINDOW_S - now

    def _retry_after(self, wait: float, now: float) -> str:
        self._refusals += 1
        if self._refusals % 2:
            return ""
        if self._refusals % 4:
            return f"{wait:.3f}"
        return format_datetime(datetime.fromtimestamp(now + wait + 1, UTC), usegmt=True)
