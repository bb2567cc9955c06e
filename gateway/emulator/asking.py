"""One request to Graph, and its answer where it succeeds."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.emulator.faults import Page


@dataclass(frozen=True)
class Answer:
    """A success: status, JSON (None for an empty body)."""

    status: int
    json: Any = None


@dataclass(frozen=True)
class Request:
    """method, path with query as sent, headers with lower-case names, body as sent. id: Graph's. page: what was ordered to be
    wrong with the list it reads."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    page: Page | None = None

    @property
    def client_id(self) -> str:
        """The client-request-id; where none was sent, Graph's own (facts §5)."""
        return self.headers.get("client-request-id") or self.id
