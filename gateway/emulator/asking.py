"""A request to Graph, and the answer to one that succeeds."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.emulator.faults import Page


@dataclass(frozen=True)
class Answer:
    """A successful answer: HTTP status and JSON body; None means an empty body."""

    status: int
    json: Any = None


@dataclass(frozen=True)
class Request:
    """path: with the query, as sent. headers: names in lower case. body: as sent. id: Graph's `request-id`. page: the fault
    that a test ordered for the list that the request reads."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    page: Page | None = None

    @property
    def client_id(self) -> str:
        """The client-request-id; Graph's own ID if the client sent none (facts §5)."""
        return self.headers.get("client-request-id") or self.id
