"""What a write did, as its entry keeps it; and what of it stands in few bytes in the database."""

import json
import zlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.changes import NOTHING, RowChange, decoded, encoded, name_of, touched_by
from gateway.ledger import packing
from gateway.ledger.packing import packed, unpacked

texts = st.text(st.characters(exclude_categories=()))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
rows = st.lists(st.dictionaries(texts, values, max_size=3), max_size=2).map(tuple)


@given(st.lists(st.builds(RowChange, texts, rows, rows), max_size=3))
def test_what_was_kept_is_what_it_was(changes: list[RowChange]):
    kept = encoded(changes)
    assert decoded(kept) == tuple(changes)
    assert touched_by(kept) == [(change.target, change.how) for change in changes]
    assert (kept == NOTHING) == (not changes)


def test_numbers_stay_as_they_were_written():
    row = {"n": Decimal("1.10"), "m": 10**30}
    [change] = decoded(encoded([RowChange("group a", (), (row,))]))
    assert str(change.after[0]["n"]) == "1.10"
    assert change.after[0]["m"] == 10**30


@pytest.mark.parametrize(("before", "after", "how"), [(0, 1, "added"), (1, 1, "changed"), (1, 0, "removed"), (0, 0, "removed")])
def test_how(before: int, after: int, how: str):
    assert RowChange("group a", ({},) * before, ({},) * after).how == how


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("group 0B1C", ("group", "0b1c")),
        ("all_devices", ("all_devices", "")),
        ("unknown #microsoft.graph.Odd", ("unknown", "microsoft.graph.odd")),
        ("", ("", "")),
    ],
)
def test_names(target: str, name: tuple[str, str]):
    assert name_of(target) == name


NO_CHANGES = [
    b"",
    b"x",
    b"\xff",
    b"7\n[]",
    b"[]",
    b"[]\n7",
    b"[[]]\n[[[],[]]]",
    b'[["a","gone"]]\n[[[],[]]]',
    b'[["a",["added"]]]\n[[[],[]]]',
    b'[[7,"added"]]\n[[[],[]]]',
    b'[["a","added"]]\n[]',
    b'[["a","added"]]\n[[[]]]',
    b'[["a","added"]]\n[[[],[7]]]',
    b'[["a","added"]]\n[[[],7]]',
    b'[["a","added"]]\n[[[],[],[]]]',
    b'[["a","added"]]\n["ab"]',
    b"[" * 100_000,
]


@pytest.mark.parametrize("number", range(len(NO_CHANGES)))
def test_what_is_none_is_said_to_be(number: int):
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever words
        decoded(NO_CHANGES[number])


@given(st.binary())
def test_what_is_packed_comes_out_as_it_was(content: bytes):
    assert unpacked(packed(content)) == content


@given(st.binary() | st.text() | st.none() | st.integers())
def test_what_is_not_packed_is_read_as_it_stands(content: object):
    assert unpacked(content) == content or (isinstance(content, bytes) and zlib.decompress(content))


def test_what_would_be_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packing, "MOST_BYTES", 1000)
    whole, bomb = packed(b"x" * 1000), packed(b"x" * 1001)
    assert (len(unpacked(whole)), unpacked(bomb)) == (1000, bomb)
    assert unpacked(whole[:-1]) == whole[:-1]


def test_rows_are_compact_json():
    assert [json.loads(line) for line in encoded([RowChange("group a", (), ({"id": "x"},))]).splitlines()] == [
        [["group a", "added"]],
        [[[], [{"id": "x"}]]],
    ]
