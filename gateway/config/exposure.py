"""Which files of a configuration other users of the machine can read or change. The file's owner and group are not "others"."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

# Keys of files that others may neither read nor change; other files (rules, authorities, public keys) only must not be changed.
PRIVATE = {"file", "passphrase_file", "password_file", "key_file"}


def exposed(config: BaseModel, source: Path | None = None) -> list[str]:
    """A line for each file that is open to others, with its key and how it is open. source: the configuration's own file."""
    if os.name == "nt":  # file modes mean nothing there
        return []
    named = [*_files(config, ()), *([(("config",), source)] if source else [])]
    return [f"{'.'.join(place)}: {path} can be {how} by others" for place, path in named if (how := _open(place[-1], path))]


def _files(value: object, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Path]]:
    if isinstance(value, Path):
        yield place, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _files(getattr(value, name), (*place, name))
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _files(inner, (*place, str(name)))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _files(inner, (*place, str(number)))


def _open(key: str, path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError:  # the reader of the file reports that
        return ""
    ways = {"read": mode & stat.S_IROTH and key in PRIVATE, "changed": mode & stat.S_IWOTH}
    return " and ".join(way for way, is_open in ways.items() if is_open)
