"""Rewrites the links in a passed-on answer so that they lead to this gateway. The answer is streamed: only as much is kept as a
link, or the possible beginning of one, may have. Pure.

Rewritten are the values of OData's annotations for links and contexts, wherever they are in the JSON; other strings are data. A
link that leads elsewhere than to this Graph, or that is too long, ends the answer with an error: without the link, an
incomplete list would look complete.
"""

import json
import re
from urllib.parse import urlsplit

from gateway.errors import GatewayError, Reason

START = b"@odata."
NAMES = b"nextLink|deltaLink|context|id|editLink|readLink|mediaReadLink|mediaEditLink|navigationLink|associationLink"
# In an answer a quote inside a string stands behind a backslash, so that only a key ends so.
HEAD = re.compile(START + rb"(" + NAMES + rb')"[ \t\r\n]{0,64}:[ \t\r\n]{0,64}"')
VALUE = re.compile(rb'(?:[^"\\]|\\.)*"', re.DOTALL)
HEAD_BYTES = 192
LONGEST_BYTES = 16 << 10
# In place of a link that is to be opened elsewhere; relative ones stay.
VERSIONED = re.compile(r"/(?:v1\.0|beta)/", re.IGNORECASE)
PLAIN_LIST = re.compile(
    r"/deviceManagement/deviceCompliancePolicies[^?]*/assignments\?(?:&?(?:\$|%24)(?:top|skiptoken)=[^&]*)+", re.IGNORECASE
)


class Links:
    """The links of one answer. graph: root of the tenant's Graph. here: this gateway's root, as the caller reached it."""

    def __init__(self, graph: str, here: str) -> None:
        self._graph, self._here, self._held = graph, here, b""

    def fed(self, data: bytes) -> bytes:
        """What can be passed on after this piece. Raises GRAPH_ANSWER_UNREADABLE."""
        return self._passed(self._held + data, last=False)

    def end(self) -> bytes:
        """The rest that was kept. Raises GRAPH_ANSWER_UNREADABLE."""
        return self._passed(self._held, last=True)

    def rewritten(self, link: str, *, is_id: bool = False) -> str:
        """A link, or a context. is_id: one that only identifies: of directory objects Graph forms it below `/v2`. Raises
        GRAPH_ANSWER_UNREADABLE for one that leads elsewhere."""
        parts, graph = urlsplit(link), urlsplit(self._graph)
        if not parts.scheme and not parts.netloc and not link.startswith(("/", "\\")):
            return link
        is_known = is_id or VERSIONED.match(parts.path)
        if (parts.scheme, parts.netloc.lower()) != (graph.scheme, graph.netloc.lower()) or not is_known:
            raise GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, "A link in Graph's answer leads to another host or path.")
        after = link[len(f"{parts.scheme}://{parts.netloc}") :]
        return f"{self._here}{after}{self._marked(after)}"

    def _marked(self, after: str) -> str:
        """The rest of an expanded list has no option but those of a page, and would be taken for a page of our own list."""
        return "&$count=false" if PLAIN_LIST.fullmatch(VERSIONED.sub("/", after, count=1)) else ""

    def _passed(self, data: bytes, *, last: bool) -> bytes:
        out, at = bytearray(), 0
        while True:
            found = data.find(START, at)
            if found < 0:
                hold = len(data) if last else len(data) - _begun(data, at)
                out += data[at:hold]
                self._held = data[hold:]
                return bytes(out)
            out += data[at:found]
            head = HEAD.match(data, found)
            if head is None and (last or len(data) - found >= HEAD_BYTES):
                out += data[found : found + len(START)]
                at = found + len(START)
                continue
            value = VALUE.match(data, head.end()) if head else None
            if value is None:
                if last or len(data) - found > HEAD_BYTES + LONGEST_BYTES:
                    raise GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, "A link in Graph's answer has no end.")
                self._held = data[found:]
                return bytes(out)
            assert head
            out += data[found : head.end()] + self._new(value[0], is_id=head[1] == b"id")
            at = value.end()

    def _new(self, value: bytes, *, is_id: bool) -> bytes:
        """The value as it goes on, with the quote at its end."""
        try:
            return json.dumps(self.rewritten(json.loads(b'"' + value), is_id=is_id), ensure_ascii=False).encode()[1:]
        except (ValueError, UnicodeError):
            raise GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, "A link in Graph's answer cannot be read.") from None


def _begun(data: bytes, at: int) -> int:
    """How many bytes at the end may be the beginning of START."""
    tail = data[max(at, len(data) - len(START) + 1) :]
    return next((len(tail) - start for start in range(len(tail)) if START.startswith(tail[start:])), 0)
