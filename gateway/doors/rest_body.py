"""The body of a REST request: its type and encoding checked, decompressed within the limit, parsed as JSON."""

import zlib
from email.message import Message as Mime
from typing import Any

from gateway.doors.rest_requests import Headers
from gateway.errors import GatewayError, Reason, invalid
from gateway.odata import JsonError, loads_strictly

# The standard library's parser of media types takes time that grows with the square of what it is given.
LONGEST_TYPE = 256
CHARSETS = ("utf-8", "utf8", "us-ascii")
# zlib's window bits: with a gzip header, with a zlib header (which HTTP calls deflate).
WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def json_of(headers: Headers, data: bytes, limit: int) -> Any:
    """The JSON of a body. limit: the most decompressed bytes. Raises MEDIA_TYPE_UNSUPPORTED, MESSAGE_TOO_LARGE,
    MESSAGE_MALFORMED."""
    check_type(headers)
    encodings = ",".join(headers.get("content-encoding", ()))
    for encoding in reversed(encodings.lower().split(",")):
        data = _decoded(encoding.strip(), data, limit)
    if len(data) > limit:
        raise too_large(limit)
    if not data.strip():
        raise invalid("body", "is empty, and has to be a JSON object", Reason.MESSAGE_MALFORMED)
    try:
        return loads_strictly(data)
    except JsonError as exc:
        raise invalid(exc.at, exc.rule, Reason.MESSAGE_MALFORMED) from exc


def check_type(headers: Headers) -> None:
    """JSON in UTF-8, with whatever other parameters (`odata.metadata`, `IEEE754Compatible`)."""
    given = ", ".join(headers.get("content-type", ()))
    if len(given) > LONGEST_TYPE:
        raise invalid("Content-Type", f"may have at most {LONGEST_TYPE} characters", Reason.MEDIA_TYPE_UNSUPPORTED)
    if not given.isascii() or not _is_json(given):  # the parser fails on some non-ASCII text
        raise invalid("Content-Type", "has to be application/json, in UTF-8", Reason.MEDIA_TYPE_UNSUPPORTED)


def _is_json(media_type: str) -> bool:
    mime = Mime()
    mime["content-type"] = media_type
    charset = str(mime.get_param("charset", "utf-8")).lower()
    return mime.get_content_type() == "application/json" and charset in CHARSETS


def too_large(limit: int) -> GatewayError:
    """The body has more than `limit` bytes."""
    return invalid("body", f"may have at most {limit} bytes", Reason.MESSAGE_TOO_LARGE)


def _decoded(encoding: str, data: bytes, limit: int) -> bytes:
    if encoding in ("", "identity"):
        return data
    if encoding not in WINDOWS:
        raise invalid("Content-Encoding", "has to be gzip, deflate or identity", Reason.MEDIA_TYPE_UNSUPPORTED)
    stream = zlib.decompressobj(WINDOWS[encoding])
    try:
        decoded = stream.decompress(data, limit + 1)
    except zlib.error:
        raise invalid("body", f"is not valid {encoding}", Reason.MESSAGE_MALFORMED) from None
    if len(decoded) > limit:
        raise too_large(limit)
    if not stream.eof or stream.unused_data:
        raise invalid("body", f"is not a complete {encoding} stream", Reason.MESSAGE_MALFORMED)
    return decoded
