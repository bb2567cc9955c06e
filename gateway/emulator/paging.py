"""Pages of Graph's lists: size, start, and the link to the next page."""

import base64
import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from gateway.emulator import errors


def size_of(query: Mapping[str, str], most: int) -> int:
    """The number of rows in a page: `$top`, at most `most`. Raises GraphError."""
    top = query.get("$top")
    if top is None:
        return most
    if not top.isascii() or not top.isdigit():  # the message is that of Microsoft's OData library
        text = (
            f"Invalid value '{top}' for $top query option found. The $top query option requires a non-negative integer value."
        )
        raise errors.GraphError(400, "BadRequest", text, errors.flat)
    return min(int(top[:9]), most)


def start_of(query: Mapping[str, str]) -> tuple[int, bool]:
    """The index of the page's first row, and whether the page before it was an empty one. Raises GraphError."""
    token = query.get("$skiptoken")
    if token is None:
        return 0, False
    try:
        start, emptied = json.loads(base64.urlsafe_b64decode(token))
        return int(start), bool(emptied)
    except ValueError:
        raise errors.bad_request("Invalid skip token.") from None


def token_for(start: int, emptied: bool) -> str:
    """The opaque token of the page that begins at row `start`."""
    return base64.urlsafe_b64encode(json.dumps([start, emptied]).encode()).decode()


def next_link(root: str, path: str, token: str) -> str:
    """The URL of the next page for the request `path`. It keeps the other options, so that `$top` applies to every page."""
    parts = urlsplit(path)
    options = [
        option for option in parts.query.split("&") if option and not option.startswith(("$skiptoken=", "%24skiptoken="))
    ]
    return f"{root}{parts.path}?{'&'.join([*options, f'$skiptoken={token}'])}"
