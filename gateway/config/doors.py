"""Where callers come in, and who they are."""

import ipaddress
import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.config.base import TOKEN_HASH, ExistingFile, Name, Seconds, Section


class Server(Section):
    """Where callers come in, and how much they may ask for. reload_s: how often files are looked at for changes."""

    grpc: str = "127.0.0.1:50051"
    insecure: bool = False
    default_deadline_s: Seconds = 30
    reload_s: Seconds = 5
    max_request_bytes: int = Field(default=1 << 20, ge=1024, le=64 << 20)
    drain_notice_s: float = Field(default=1, ge=0, le=300)
    drain_s: Seconds = 30

    @model_validator(mode="after")
    def plain_text_stays_on_loopback(self) -> Self:
        host, colon, port = self.grpc.rpartition(":")
        if not colon or not host or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
            raise ValueError('grpc: has to be "host:port", such as "127.0.0.1:50051"')
        if not (self.insecure or is_loopback(host)):
            raise ValueError(f"grpc: {host} is not a loopback address and the door is plain text; insecure = true allows it")
        return self


class Authorization(Section):
    """What callers may. policies: a file of Cedar policies; what none of them permits is refused."""

    kind: str = "cedar"
    policies: ExistingFile


def is_loopback(host: str) -> bool:
    """True for localhost and the loopback ranges."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Callers(Section):
    """Who may call. `static`: caller name -> salted hash of its token (`compliance-gateway token` makes both)."""

    static: dict[Name, Annotated[str, Field(pattern=TOKEN_HASH)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def some_authenticator(self) -> Self:
        if not self.static:
            raise ValueError("no caller authenticator: add [callers.static] with at least one caller")
        return self
