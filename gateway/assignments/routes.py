"""The route of a creation to Graph: the documented one, which the live service lacks, or the merge through /assign."""

from collections.abc import Callable
from typing import Literal

CreateRoute = Literal["auto", "documented", "assign"]
REMEMBER_MISSING_S = 86_400.0  # the backend carries a monthly version: a missing route may appear one day (docs/graph.md §1)


class Routes:
    """auto: the documented route first; if a tenant lacks it, that is remembered for a day. clock: monotonic seconds."""

    def __init__(self, create_route: CreateRoute, clock: Callable[[], float]) -> None:
        self._create_route, self._clock = create_route, clock
        self._missing_until: dict[str, float] = {}

    def documented(self, tenant: str) -> bool:
        """Whether to try the documented route now."""
        if self._create_route == "auto":
            return self._clock() >= self._missing_until.get(tenant, float("-inf"))
        return self._create_route == "documented"

    def missing(self, tenant: str) -> bool:
        """Graph reported that the tenant lacks the route. Returns whether to try the other one."""
        self._missing_until[tenant] = self._clock() + REMEMBER_MISSING_S
        return self._create_route == "auto"
