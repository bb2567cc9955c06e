"""What the REST door serves beside its operations."""

from typing import Annotated

from pydantic import Field

from gateway.config.base import ORIGIN, PREFIX, READ, Section


class Rest(Section):
    """What the REST door passes on to Graph, and the clients that need special treatment."""

    read_through: tuple[Annotated[str, Field(pattern=READ)], ...] = ()
    """Further paths of Graph whose reads are passed on with the app's token, such as `deviceManagement/managedDevices/{id}`:
    without the version, and with `{id}` for keys. Built in are compliance policies and everything below them, assignment
    filters, setting summaries, and groups. The rules say who may read which."""
    most_read_bytes: int = Field(default=64 << 20, ge=1024, le=1 << 30)
    """The largest answer of Graph's that is passed on, uncompressed; a larger one is cut off."""
    prefixes: tuple[Annotated[str, Field(pattern=PREFIX)], ...] = ()
    """Paths that may precede the version, such as `/localtest`; links in the answers have them too."""
    cors_origins: tuple[Annotated[str, Field(pattern=ORIGIN)], ...] = ()
    """Origins whose browser pages may read answers (CORS), such as `https://portal.example`. Pages authenticate with a token,
    not with cookies."""
