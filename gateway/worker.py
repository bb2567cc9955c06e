"""One of several processes behind the same doors (`serve --workers`), and what its parent told it."""

import asyncio
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

VARIABLE = "COMPLIANCE_GATEWAY_WORKER"


@dataclass(frozen=True, kw_only=True)
class Worker:
    """number: its own among those that live. count: how many there are to be. folder: where they find each other (`socket_of`)
    and keep what they count. orders: descriptor of a pipe from the parent; a byte says to retire, its end that the parent is
    gone. grpc, mtls: addresses that all bind. rest, admin: addresses, each with descriptors of sockets where all accept."""

    number: int
    count: int
    folder: str
    orders: int
    grpc: str
    mtls: str | None
    rest: tuple[str | None, list[int]]
    admin: tuple[str, list[int]]

    @classmethod
    def told(cls) -> Self | None:
        """What this process was told, which what it starts is not; None where it is no worker."""
        told = os.environ.pop(VARIABLE, "")
        return cls(**json.loads(told)) if told else None

    def telling(self) -> dict[str, str]:
        """The environment for the process that shall be this worker."""
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def addresses(self) -> dict[str, str | None]:
        """Of its doors, as in [server]."""
        return {"grpc": self.grpc, "mtls": self.mtls, "rest": self.rest[0], "admin": self.admin[0]}

    def socket_of(self, number: int | str) -> Path:
        """Where a worker answers for itself alone."""
        return Path(self.folder) / f"{number}.sock"


WORKER = Worker.told()


class Retirement:
    """begins: it is to take no new connection. over: it has none any more."""

    def __init__(self) -> None:
        self.begins, self.over = asyncio.Event(), asyncio.Event()
