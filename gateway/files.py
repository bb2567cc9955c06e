"""Files that others change while the gateway runs."""

from pathlib import Path


def version_of(path: Path) -> object:
    """A value that changes when the file does; None where there is none. Costs one stat."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
