"""The admin pages of all workers together. Each worker answers for itself at a socket in the workers' folder; the worker that
gets a request at the common address asks them all."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from gateway.errors import invalid
from gateway.worker import Worker

ASK_S = 2.0
HEAD = "GET {} HTTP/1.0\r\nHost: localhost\r\n\r\n"
# Of a window of the quota, what is of all workers whoever is asked, and what counts as the longest.
OF_ALL = {"name", "ceiling", "limit"}
LONGEST = {"wait", "closedFor"}


class Together:
    """What all workers say, asked for anew each time; those who ask at the same time share the answer."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._asking: dict[str, asyncio.Task[list[Any]]] = {}

    async def ready(self) -> bool:
        """Whether as many take calls as there are to be."""
        return await self._ready() >= self._worker.count

    async def health(self) -> dict[str, str]:
        """Each part, and why it is not well with the first worker where it is not; and the workers."""
        pages, count = await self._ask("/healthz"), self._worker.count
        parts: dict[str, str] = {}
        for name, how in (item for page in pages for item in page.items() if item[0] != "well"):
            if parts.get(name, "up") == "up":
                parts[name] = how
        ready = await self._ready()
        return {**parts, "workers": "up" if ready >= count else f"down: {ready} of {count} take calls"}

    async def _ready(self) -> int:
        return sum(page["ready"] is True for page in await self._ask("/readyz"))

    async def quotas(self) -> dict[str, Any]:
        """Of each tenant, what all workers have of it."""
        return merged(await self._ask("/quota"))

    async def of_one(self, number: str, target: str) -> str:
        """What one worker answers. Raises INVALID_FIELD where there is no such one."""
        living = sorted(path.stem for path in self._worker.socket_of("*").parent.glob("*.sock"))
        if number not in living:
            raise invalid("worker", f"has to be the number of a running worker: {', '.join(living)}")
        return (await self._get(number, target)).decode()

    async def _ask(self, target: str) -> list[Any]:
        """The JSON of each that answers in time."""
        asking = self._asking.get(target)
        if asking is None:
            asking = self._asking[target] = asyncio.create_task(self._ask_all(target))
            asking.add_done_callback(lambda _: self._asking.pop(target))
        return await asyncio.shield(asking)

    async def _ask_all(self, target: str) -> list[Any]:
        numbers = [path.stem for path in self._worker.socket_of("*").parent.glob("*.sock")]
        answers = await asyncio.gather(*(self._get(number, target) for number in numbers), return_exceptions=True)
        return [json.loads(answer) for answer in answers if isinstance(answer, bytes)]

    async def _get(self, number: str, target: str) -> bytes:
        """The body. Raises OSError, TimeoutError, ValueError."""
        async with asyncio.timeout(ASK_S):
            reader, writer = await asyncio.open_unix_connection(self._worker.socket_of(number))
            try:
                writer.write(HEAD.format(quote(target, safe="/?=&")).encode())
                head, end, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            finally:
                writer.close()
        if not (end and head.startswith(b"HTTP/")):
            raise ValueError("no answer")
        return body


def merged(pages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The quotas of several replicas as those of one: pb.Quota as JSON, by tenant."""
    tenants = {tenant: [page[tenant]["windows"] for page in pages if tenant in page] for tenant in (pages[0] if pages else ())}
    return {tenant: {"windows": [_merged(of_all) for of_all in zip(*found, strict=True)]} for tenant, found in tenants.items()}


def _merged(windows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = {key: _one(key, [window[key] for window in windows]) for key in windows[0] if key != "callers"}
    callers: dict[str, list[Mapping[str, Any]]] = {}
    for window in windows:
        for caller in window["callers"]:
            callers.setdefault(caller["name"], []).append(caller)
    return found | {
        "callers": [{key: _one(key, [one[key] for one in of_all]) for key in of_all[0]} for of_all in callers.values()]
    }


def _one(key: str, values: Sequence[Any]) -> Any:
    if key in OF_ALL:
        return values[0]
    return max(values, key=lambda text: float(text.removesuffix("s"))) if key in LONGEST else sum(values)
