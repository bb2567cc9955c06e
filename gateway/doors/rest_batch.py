"""JSON batching as in Graph: up to 20 requests in one, answered separately, and carried out concurrently unless one depends on
another. Edits of one policy that come together share a write."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from google.protobuf.empty_pb2 import Empty

from gateway.doors.rest_answers import RestAnswer
from gateway.doors.rest_body import check_type
from gateway.doors.rest_requests import Headers
from gateway.errors import Reason, invalid
from gateway.operations import HttpRule, Operation
from gateway.sets import SETS

MOST = 20
# What a batch is called where its own headers are judged, before anything of its body is read. Its items are the operations.
RULES = (HttpRule("POST", "/v1.0/$batch", "*"), HttpRule("POST", "/beta/$batch", "*"))
BATCH = Operation("Batch", Empty, Empty, RULES, next(iter(SETS.values())), writes=True)


@dataclass(frozen=True)
class Item:
    """One request of a batch. url: relative to the version, with its query. headers: lower-case names. body: JSON or None."""

    id: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: Any
    after: tuple[str, ...]


def items_of(json: Any) -> list[Item]:
    """The requests of a batch. Raises INVALID_FIELD, which names the place."""
    requests = json.get("requests") if isinstance(json, dict) else None
    if not isinstance(requests, list) or not 1 <= len(requests) <= MOST:
        raise invalid("requests", f"has to be a list of 1 to {MOST} requests")
    items = [_item(request, f"requests[{index}]") for index, request in enumerate(requests)]
    ids = {item.id for item in items}
    for index, item in enumerate(items):
        if [other.id for other in items[:index] if other.id == item.id]:
            raise invalid(f"requests[{index}].id", "is also the ID of another request in the batch")
        if not ids.issuperset(item.after):
            raise invalid(f"requests[{index}].dependsOn", "names a request that is not in the batch")
    try:
        TopologicalSorter({item.id: item.after for item in items}).prepare()
    except CycleError:
        raise invalid("requests", "depend on each other in a cycle") from None
    return items


def _item(request: Any, at: str) -> Item:
    if not isinstance(request, dict):
        raise invalid(at, "has to be a JSON object")
    request = {**request, "id": _named(request.get("id"))}
    for name in ("id", "method", "url"):
        if not isinstance(request.get(name), str) or not request[name]:
            raise invalid(f"{at}.{name}", "has to be a non-empty string")
    if "://" in request["url"]:
        raise invalid(f"{at}.url", "has to be relative to the version, such as /deviceManagement/…")
    headers = {} if request.get("headers") is None else request["headers"]
    given = [] if request.get("dependsOn") is None else request["dependsOn"]
    after = [*map(_named, given)] if isinstance(given, list) else None
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise invalid(f"{at}.headers", "has to be a JSON object of strings")
    headers = {name.lower(): value for name, value in headers.items()}
    if "authorization" in headers:
        raise invalid(f"{at}.headers", "may not have Authorization: that of the batch applies to each request")
    if after is None or not all(isinstance(one, str) for one in after):
        raise invalid(f"{at}.dependsOn", "has to be a list of IDs")
    url = "/" + request["url"].lstrip("/")
    return Item(request["id"], request["method"].upper(), url, headers, request.get("body"), tuple(after))


def _named(given: Any) -> Any:
    """An id as Graph answers with it: many scripts have numbers."""
    return str(given) if type(given) is int else given


async def answers_to(
    items: list[Item], send: Callable[[Item], Awaitable[RestAnswer]], failed: Callable[[Item], RestAnswer]
) -> list[RestAnswer]:
    """The answers in the order of the items. send: carries out one item. failed: the answer to an item if one that it depends
    on failed."""
    tasks: dict[str, asyncio.Task[RestAnswer]] = {}

    async def answer(item: Item) -> RestAnswer:
        before = [await tasks[name] for name in item.after]
        return failed(item) if any(one.status >= 400 for one in before) else await send(item)

    tasks |= {item.id: asyncio.ensure_future(answer(item)) for item in items}
    try:
        return list(await asyncio.gather(*tasks.values()))
    finally:
        for task in tasks.values():
            task.cancel()


async def json_of_item(item: Item, headers: Headers, _caller: str) -> Any:
    """Its body, for who asks for it as for that of a request. Raises MEDIA_TYPE_UNSUPPORTED, MESSAGE_MALFORMED."""
    check_type(headers)
    if item.body is None:
        raise invalid("body", "is empty, and has to be a JSON object", Reason.MESSAGE_MALFORMED)
    return item.body


def item_answer(item: Item, answer: RestAnswer) -> Mapping[str, Any]:
    """As it stands in the batch's answer."""
    json = {"Content-Type": "application/json"} if answer.body is not None else {}
    body = {"body": answer.body} if answer.body is not None else {}
    return {"id": item.id, "status": answer.status, "headers": {**json, **answer.headers}, **body}
