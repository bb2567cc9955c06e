"""An HTTP server that does exactly what a test says, byte by byte, on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class RawRequest:
    """One request as it came. connection: the number of its connection, from 1."""

    connection: int
    head: str
    body: bytes
    writer: asyncio.StreamWriter

    async def answer(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Script = Callable[[RawRequest], Awaitable[None]]


@dataclass
class RawServer:
    """port; every request seen. After the script returns the connection serves on, unless the script closed it."""

    script: Script
    port: int = 0
    seen: list[RawRequest] = field(default_factory=list)
    connections: int = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next((int(h[15:]) for h in head.lower().split("\r\n") if h.startswith("content-length:")), 0)
                request = RawRequest(number, head, await reader.readexactly(length), writer)
                self.seen.append(request)
                await self.script(request)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


async def ok(request: RawRequest) -> None:
    """The script that answers 200 with `{}`."""
    await request.answer(OK)


@asynccontextmanager
async def raw_server(script: Script = ok, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serves inside the block."""
    raw = RawServer(script)
    server = await asyncio.start_server(raw._serve, "127.0.0.1", 0, ssl=tls)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        for request in raw.seen:
            request.writer.close()
