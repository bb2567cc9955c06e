"""Faults that tests order: the next matching requests get another answer, or are delayed, cut, or carried out late."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Cut = Literal["before", "after"]
Effect = Literal["none", "now", "late"]
Page = Literal["duplicate", "truncated"]

CHOICES = {"cut": (None, *get_args(Cut)), "effect": get_args(Effect), "page": (None, *get_args(Page))}


@dataclass
class Fault:
    """method, path, sent: regular expressions that select requests: the whole method, a part of path and query, a part of the
    body. times: how many requests it is for.

    until: an event to wait for first; only a test in the same process can give one. delay_s: seconds to wait first. status,
    body, retry_after: the answer instead of the real one. headers: added to the answer in any case. cut: the connection is
    closed without an answer, before or after the request is carried out.

    effect: whether a request to Graph is carried out although it is answered with `status` or cut before. "none": no. "now":
    yes, before the answer. "late": `late_s` real seconds after the answer, as a request of that time (token, quota and model
    are checked then), unless the emulator is reset before.

    page: a fault of the list that is read. "duplicate": the page repeats the last row of the page before it; the first page
    repeats its own last row. "truncated": the page lacks its last row, and has no link to a next page.
    """

    method: str = ".*"
    path: str = ""
    sent: str = ""
    times: int = 1
    status: int | None = None
    body: Any = None
    retry_after: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0
    until: asyncio.Event | None = None
    cut: Cut | None = None
    effect: Effect = "none"
    late_s: float = 0
    page: Page | None = None

    def __post_init__(self) -> None:
        self._check()
        self._method, self._path = re.compile(self.method, re.IGNORECASE), re.compile(self.path)
        self._sent = re.compile(self.sent.encode())

    def _check(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} has to be one of {choices}")
        if self.effect == "late" and self.status is None and self.cut != "before":
            raise ValueError("what is carried out late needs an answer now: status, or cut before")
        if self.page is not None and not self.carried_out:
            raise ValueError("a page can be wrong only where a list is read: no status, no cut before")
        if self.until is not None and not isinstance(self.until, asyncio.Event):
            raise ValueError("until is an event, which only a test in the same process can give")
        if self.late_s < 0 or self.delay_s < 0:
            raise ValueError("seconds are not negative")

    @property
    def carried_out(self) -> bool:
        """Whether the request is carried out before it is answered."""
        return self.effect == "now" or (self.effect == "none" and self.status is None and self.cut != "before")

    @property
    def answer_headers(self) -> dict[str, str]:
        """Headers to add to the answer, `Retry-After` included."""
        retry_after = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return {name: str(value) for name, value in {**retry_after, **self.headers}.items()}

    def matches(self, method: str, path: str, body: bytes) -> bool:
        is_for = self._method.fullmatch(method) and self._path.search(path) and self._sent.search(body)
        return self.times > 0 and is_for is not None


class Faults:
    """The ordered faults. The first one that matches a request is used."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def order(self, faults: list[Fault]) -> None:
        self._faults += faults

    @property
    def waiting(self) -> int:
        """The number of requests for which faults are still ordered."""
        return sum(fault.times for fault in self._faults)

    def clear(self) -> None:
        self._faults.clear()

    def take(self, method: str, path: str, body: bytes = b"") -> Fault | None:
        """The fault for this request, or None. Uses it up by one."""
        fault = next((f for f in self._faults if f.matches(method, path, body)), None)
        if fault is not None:
            fault.times -= 1
            self._faults = [f for f in self._faults if f.times > 0]
        return fault
