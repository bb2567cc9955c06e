"""A list of Graph's, a page after the other."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway.assignments.rows import Row
from gateway.errors import GatewayError, Reason

MAX_PAGES = 1000


async def pages(ask: Callable[[str], Awaitable[Any]], path: str, of: str = "") -> AsyncIterator[list[Row]]:
    """The rows at the path, and those of each page that follows. ask: gives the JSON at a path or next link. of: the property
    that has the rows; empty in a list. Raises GRAPH_ANSWER_UNREADABLE, and what `ask` raises."""
    links: list[str] = []
    while True:
        body = await ask(path)
        found = body.get(of or "value") if isinstance(body, dict) else None
        if not isinstance(found, list):
            raise _unreadable("a page without a list of rows")
        if not all(isinstance(row, dict) for row in found):
            raise _unreadable("a row that is not an object")
        yield found
        link = body.get(f"{of}@odata.nextLink")
        if link is None:
            return
        if not isinstance(link, str) or not link.startswith("https://") or link in links or len(links) == MAX_PAGES:
            raise _unreadable("a next link that cannot be followed")
        links.append(link)
        path, of = link, ""


def _unreadable(what: str) -> GatewayError:
    return GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, f"Graph's list has {what}; nothing was written.")
