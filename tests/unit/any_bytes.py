"""Bytes that are nearly right: JSON with odd values and twins, and good input that was changed. Strategies for fuzzed."""

import json

from hypothesis import strategies as st

LEAVES = st.sampled_from(
    [
        "1",
        "0",
        "-0",
        "1.10",
        "1e308",
        "1e999999999",
        "-1e-400",
        "999999999999999999999",
        "NaN",
        "true",
        "null",
        '""',
        '"\\ud800"',
        '"\\u0000"',
        '"😀"',
        '"x',
    ]
) | st.text(max_size=12).map(json.dumps)
NAMES = st.sampled_from(
    [
        "target",
        "groupId",
        "@odata.type",
        "assignments",
        "id",
        "source",
        "requests",
        "method",
        "url",
        "headers",
        "body",
        "dependsOn",
        "a",
        "deviceAndAppManagementAssignmentFilterId",
        "deviceAndAppManagementAssignmentFilterType",
        "allowEmpty",
        "expectedCount",
        "alg",
        "kid",
        "iss",
        "aud",
        "sub",
        "exp",
        "iat",
        "nbf",
    ]
) | st.text(max_size=4)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(NAMES.map(json.dumps), inner), max_size=4).map(
            lambda pairs: "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}"
        )
    ),
    max_leaves=12,
)
PAIRS = st.lists(st.tuples(NAMES.map(json.dumps), VALUES), min_size=1, max_size=3)


def utf_8(texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return texts.map(lambda text: text.encode("utf-8", "surrogatepass"))


def with_pairs(text: bytes, pairs: list[tuple[str, str]], first: bool) -> str:
    """The object with more pairs, which may be twins of those that it has."""
    more = ",".join(f"{name}:{value}" for name, value in pairs)
    inner = text.decode().strip()[1:-1]
    return "{" + (f"{more},{inner}" if first else f"{inner},{more}") + "}"


def objects_like(text: bytes) -> st.SearchStrategy[str]:
    return st.builds(with_pairs, st.just(text), PAIRS, st.booleans())


def changed(data: bytes, changes: list[tuple[int, float, int, bytes]]) -> bytes:
    """A piece put in, left out, doubled or moved, at each of the places."""
    out = bytearray(data)
    for kind, where, size, piece in changes:
        at = int(where * len(out))
        if kind == 0:
            out[at : at + len(piece)] = piece
        elif kind == 1:
            del out[at : at + size]
        elif kind == 2:
            out[at:at] = out[at : at + size] * 2
        else:
            out[at:at] = piece * size
    return bytes(out)


PIECES = st.binary(min_size=1, max_size=4) | st.sampled_from(
    [b"'", b'"', b"%27)", b"..", b"/", b"\\", b"{", b"[", b",", b"\xff", b"="]
)
CHANGES = st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1, exclude_max=True), st.integers(1, 40), PIECES), max_size=4)
