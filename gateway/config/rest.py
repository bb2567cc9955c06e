"""What the REST door has beside its operations."""

from typing import Annotated

from pydantic import Field

from gateway.config.base import ORIGIN, PREFIX, READ, Section


class Rest(Section):
    """What the REST door passes on to Graph, and whom it serves beside scripts."""

    read_through: tuple[Annotated[str, Field(pattern=READ)], ...] = ()
    """Further paths of Graph that are read through with the app's token, such as `deviceManagement/managedDevices/{id}`, from
    behind the version on, with `{id}` for keys. Built in are compliance policies and what hangs below them, assignment filters,
    setting summaries, and groups. Rules say who may read which."""
    most_read_bytes: int = Field(default=64 << 20, ge=1024, le=1 << 30)
    """Size of an answer that is read through, unpacked; a larger one is broken off."""
    prefixes: tuple[Annotated[str, Field(pattern=PREFIX)], ...] = ()
    """Paths that may stand before the version, such as `/localtest`; links have them, too."""
    cors_origins: tuple[Annotated[str, Field(pattern=ORIGIN)], ...] = ()
    """Origins whose pages browsers let read answers, such as `https://portal.example`. A page sends a token: no cookies."""
