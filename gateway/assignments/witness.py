"""The last check before a set is sent: whether a row is missing or changed that no edit may touch. It is written independently
of `merge` and its keys, so that a bug there cannot hide itself here."""

import json
from collections.abc import Collection, Iterable
from typing import Any

from gateway.assignments.edits import Add, Edit, Remove, ReplaceAll, Restore, Retarget, Together

Json = dict[str, Any]


def lost(rows: Iterable[Json], sent: Iterable[Json], edits: Collection[Edit], repaired: Iterable[Json] = ()) -> list[Json]:
    """The direct rows that were read, are not in `sent` as they were, and may not have been touched by these edits.

    edits: those that were carried out, in order. repaired: rows that a repair restores or removes. The result is always empty;
    otherwise there is a bug, and nothing may be sent.
    """
    sent = list(sent)
    same = {id(row) for row in sent}
    direct = (row for row in rows if str(row.get("source") or "").lower() != "policysets")
    others = [row for row in direct if id(row) not in same]
    if not others:
        return []
    texts = {_text(row) for row in sent}
    single = [one for edit in edits for one in (edit.edits if isinstance(edit, Together) else (edit,))]
    meant = {_who(row.get("target")) for row in repaired}
    meant |= {_who(edit.target) for edit in single if isinstance(edit, Add | Remove) and edit.target is not None}
    ids = {edit.row_id.lower() for edit in single if isinstance(edit, Retarget | Remove) and edit.row_id}
    replacing = []
    for edit in single:
        if isinstance(edit, ReplaceAll):
            replacing.append({_who(target) for target in edit.targets})
        elif isinstance(edit, Restore):
            named = {_who(row.get("target")) for rows in edit.wanted.values() for row in rows}
            if edit.left is None:
                replacing.append(named)
            else:
                meant |= named | {_who(row.get("target")) for rows in edit.left.values() for row in rows}
    there = {_who(row.get("target")) for row in sent}

    def may_change(row: Json) -> bool:
        who = _who(row.get("target"))
        if who in meant or str(row.get("id") or "").lower() in ids:
            return True
        # The last replacement decides: what it names stays, changed or not; what it does not name goes.
        return bool(replacing) and (who not in replacing[-1] or who in there)

    return [row for row in others if _text(row) not in texts and not may_change(row)]


def _who(target: Any) -> str:
    """Whom a target means, whatever its filter: its type and IDs, in lower case. The type of a group target does not count, nor
    does the spelling of numbers."""
    if not isinstance(target, dict):
        return ""
    kept = {k.lower(): v for k, v in target.items() if "filter" not in k.lower() and v is not None}
    if "groupid" in kept:
        return str(kept["groupid"]).lower()
    kept["@odata.type"] = str(kept.get("@odata.type", "")).removeprefix("#")
    numbers_alike = json.loads(json.dumps(kept, default=float), parse_int=float)
    return json.dumps(numbers_alike, sort_keys=True).lower()


def _text(row: Json) -> str:
    return json.dumps(row, sort_keys=True, default=str)
