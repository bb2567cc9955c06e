"""Faults that tests order: the next matching requests are answered differently, delayed, cut, or carried out late."""

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
    """method, path, sent: what it is for (path, sent: regular expressions, searched in path and query, and in the body). times:
    how often.

    until: an event that is waited for first, of a test in the same process. delay_s: seconds waited first. status, body,
    retry_after: the answer given instead of the real one. headers: added to the answer, whichever it is. cut: the connection is
    closed without an answer, before or after the request is carried out.

    effect: what becomes of a request to Graph that is answered with `status` or cut before: "none"; "now": it is carried
    out, then answered as said here; "late": it is answered so at once, and carried out `late_s` real seconds later as a
    request of that moment would be (token, quota and model are checked then), unless the emulator was reset meanwhile.

    page: what is wrong with a list that is read: "duplicate": it has the last row of the page before it again, or on the
    first page its own last row; "truncated": the list ends with this page and lacks its last row, as if that were all.
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
        """Those that are added to the answer."""
        retry_after = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return {name: str(value) for name, value in {**retry_after, **self.headers}.items()}

    def matches(self, method: str, path: str, body: bytes) -> bool:
        is_for = self._method.fullmatch(method) and self._path.search(path) and self._sent.search(body)
        return self.times > 0 and is_for is not None


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

    def take(self, method: str, path: str, body: bytes = b"") -> Fault | None:
        """The fault for this request, used once."""
        fault = next((f for f in self._faults if f.matches(method, path, body)), None)
        if fault is not None:
            fault.times -= 1
            self._faults = [f for f in self._faults if f.times > 0]
        return fault
