"""Connections of a door over asyncio, bounded in total and for each peer. Accepting goes on whatever happens to one connection,
and also after the process has run out of file descriptors."""

import asyncio
import ipaddress
import logging
import os
import resource
import socket
import ssl
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress

Connect = Callable[[Callable[[], None]], asyncio.Protocol]

log = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
# After an accept that failed: for want of files, mostly.
PAUSE_S = 0.1
BACKLOG = 128
RECEIVED = 1 << 15
# Files for the ledger, Graph, Entra and what else is open; each of the two doors for callers may have half of the others.
FILES_KEPT = 128
OPEN_FILES = "/dev/fd"
INTERNET = (socket.AF_INET, socket.AF_INET6)


def peer_of(host: str) -> str:
    """The peer that an address counts for: itself; for IPv6 its /64, the smallest block that one host gets."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.version == 4:
        return host
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


def within_files(connections: int) -> int:
    """How many of so many a door may have by the process's limit of files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    fit = connections if files == resource.RLIM_INFINITY else min(connections, max(8, (files - FILES_KEPT) // 2))
    if fit < connections:
        log.warning("the limit of open files is low: accepting fewer connections", extra={"files": files, "connections": fit})
    return fit


def listening_at(address: str) -> list[socket.socket]:
    """Sockets that listen at an address such as "127.0.0.1:8080". Raises OSError."""
    host, _, port = address.rpartition(":")
    sockets = []
    for family, _, _, _, found in socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM):
        one = socket.create_server(found[:2], family=family, backlog=BACKLOG)
        # Of all connections: what the kernel keeps of what has come, and so what comes in one piece.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        sockets.append(one)
    return sockets


def cut(addresses: Collection[str]) -> None:
    """Cuts every connection that came in at these addresses (host:port), whichever library owns it, and accepts no new one:
    both sides read an end, and nothing more is written. Does nothing if the system has no /dev/fd."""
    cut_off(addresses)  # before cutting: a client that is cut reconnects at once
    _shut(_sockets_at(addresses, listening=False))


def cut_off(addresses: Collection[str]) -> None:
    """Accepts no new connection at these addresses; existing ones stay."""
    _shut(_sockets_at(addresses, listening=True))


def connected_at(addresses: Collection[str]) -> int:
    """How many connections there are that came in at these addresses."""
    return sum(map(_has_a_peer, _sockets_at(addresses, listening=False)))


def _has_a_peer(one: socket.socket) -> bool:
    """Not so one that has listened and was shut."""
    with suppress(OSError):
        return bool(one.getpeername())
    return False


def _shut(sockets: Iterator[socket.socket]) -> None:
    for one in sockets:
        with suppress(OSError):  # it has ended by itself
            one.shutdown(socket.SHUT_RDWR)


def _sockets_at(addresses: Collection[str], listening: bool) -> Iterator[socket.socket]:
    """Copies of this process's sockets with one of these ports of their own, of those that listen or of the others."""
    ports = {int(address.rpartition(":")[2]) for address in addresses}
    try:
        open_files = list(map(int, os.listdir(OPEN_FILES)))
    except OSError:
        return
    for number in open_files:
        try:
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            copy = os.dup(number)
        except OSError:  # gone meanwhile
            continue
        with socket.socket(fileno=copy) as one, suppress(OSError):
            is_ours = one.family in INTERNET and one.getsockname()[1] in ports
            if is_ours and listening == bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
                yield one


class Shares:
    """How many connections each peer has."""

    def __init__(self, most: int, most_per_peer: int) -> None:
        self._room, self._most_per_peer = asyncio.Semaphore(most), most_per_peer
        self._of: Counter[str] = Counter()

    async def room(self) -> None:
        """Waits until one more connection may exist; `give` returns its place."""
        await self._room.acquire()

    def take(self, peer: str) -> bool:
        """Whether this peer may have one more connection; if so, it is counted."""
        if self._of[peer] >= self._most_per_peer:
            return False
        self._of[peer] += 1
        return True

    def give(self, peer: str | None) -> None:
        """Returns a connection's place, and the peer's if it had one."""
        self._room.release()
        if peer is not None:
            self._of[peer] -= 1
            if not self._of[peer]:
                del self._of[peer]


class Listener:
    """Accepts connections at these listening sockets. connect: creates the protocol of a connection, and gets a callback for
    its loss. A connection beyond its peer's share is closed unread; one beyond the total waits for room."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        connect: Callable[[Callable[[], None]], asyncio.Protocol],
        shares: Shares,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._sockets, self._connect, self._shares, self._tls = sockets, connect, shares, tls
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> int:
        """Accepts; the port."""
        for one in self._sockets:
            one.setblocking(False)
            self._run(self._accept(one))
        return int(self._sockets[0].getsockname()[1])

    def close(self) -> None:
        """Accepts no more; connections stay."""
        for task in self._tasks:
            task.cancel()
        for one in self._sockets:
            one.close()

    def _run(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._shares.room()
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError as exc:
                self._shares.give(None)
                log.warning("a connection cannot be accepted", extra={"error": str(exc)})
                await asyncio.sleep(PAUSE_S)
                continue
            except BaseException:
                self._shares.give(None)
                raise
            peer = peer_of(address[0])
            if self._shares.take(peer):
                self._run(self._serve(connection, peer))
            else:
                connection.close()
                self._shares.give(None)

    async def _serve(self, connection: socket.socket, peer: str) -> None:
        given = False

        def lost() -> None:
            nonlocal given
            if not given:
                given = True
                self._shares.give(peer)

        loop, patience = asyncio.get_running_loop(), HANDSHAKE_S if self._tls else None
        connected = False
        try:
            with suppress(OSError, TimeoutError):  # not TLS, or no TLS that both sides support
                await loop.connect_accepted_socket(
                    lambda: self._connect(lost), connection, ssl=self._tls, ssl_handshake_timeout=patience
                )
                connected = True
        finally:
            if not connected:
                connection.close()
                lost()
