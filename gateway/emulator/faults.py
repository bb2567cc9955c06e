"""Faults that the tests order: the next requests that match are answered, delayed or cut instead of, before or after being
carried out."""

import re
from dataclasses import dataclass
from typing import Any, Literal


@dataclass
class Fault:
    """method, path: what it is for (path: a regular expression, searched in path and query). times: how often.

    status, body, retry_after: the answer given instead. delay_s: seconds waited first. cut: the connection is closed
    without an answer, before or after the request is carried out.
    """

    method: str = ".*"
    path: str = ""
    times: int = 1
    status: int | None = None
    body: Any = None
    retry_after: str | None = None
    delay_s: float = 0
    cut: Literal["before", "after"] | None = None

    def __post_init__(self) -> None:
        if self.cut not in (None, "before", "after"):
            raise ValueError("cut has to be before or after")
        if self.retry_after is not None and not isinstance(self.retry_after, str):
            self.retry_after = str(self.retry_after)
        self._method, self._path = re.compile(self.method, re.IGNORECASE), re.compile(self.path)

    def matches(self, method: str, path: str) -> bool:
        return self.times > 0 and bool(self._method.fullmatch(method)) and bool(self._path.search(path))


class Faults:
    """The ordered faults; the first that matches is used."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def order(self, faults: list[Fault]) -> None:
        self._faults += faults

    @property
    def waiting(self) -> int:
        """How many requests are still to be met by a fault."""
        return sum(fault.times for fault in self._faults)

    def clear(self) -> None:
        self._faults.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this request, used once."""
        fault = next((f for f in self._faults if f.matches(method, path)), None)
        if fault is not None:
            fault.times -= 1
            self._faults = [f for f in self._faults if f.times > 0]
        return fault
