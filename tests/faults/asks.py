"""A model of what callers request of a policy and what has to result: pure, and independent of the gateway's merge. A caller's
groups are its own, so it knows their state, unless others changed them or an outcome is open."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

Kind = tuple[str, str]  # ("group" | "exclusion", "none" | "include" | "exclude")
Value = Kind | None  # None: no row
KINDS: tuple[Kind, ...] = (("group", "none"), ("group", "include"), ("group", "exclude"), ("exclusion", "none"))
ANY: frozenset[Value] = frozenset((None, *KINDS, ("exclusion", "include"), ("exclusion", "exclude")))
ABSENT: frozenset[Value] = frozenset((None,))
OK, EXISTS, MISSING, BAD = "OK", "ALREADY_EXISTS", "NOT_FOUND", "INVALID_ARGUMENT"
CONFLICT = "FAILED_PRECONDITION RESTORE_CONFLICT"
OPEN = "OPEN"  # nobody told the caller what came of it, and it stopped asking


@dataclass(frozen=True)
class Op:
    """An operation that a caller wants. name: create (if_exists), update (in place; filter_only), move (to another group),
    delete, replace (`whole`: all of the caller's groups of that policy; None for those to remove), edit (`parts`, all or none),
    undo (of the request ID `undoes`, which changed `whole` to `left`), poison (never carried out)."""

    name: str
    group: str = ""
    kind: Kind = KINDS[0]
    if_exists: str = "fail"
    filter_only: bool = False
    to: str = ""
    whole: tuple[tuple[str, Value], ...] = ()
    left: tuple[tuple[str, Value], ...] = ()
    undoes: str = ""
    parts: tuple["Op", ...] = ()

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups that the operation may change."""
        of_parts = dict.fromkeys(group for part in self.parts for group in part.groups)
        return tuple(of_parts) or tuple(group for group, _ in self.whole) or tuple(filter(None, (self.group, self.to)))


@dataclass(frozen=True)
class Ask:
    """An operation under one request ID, from the first attempt to the answer: OK, OPEN, or a refusal's name. asked, answered:
    times in seconds. unknown: how many attempts ended with OUTCOME_UNKNOWN."""

    caller: str
    policy: str
    op: Op
    request_id: str
    answer: str
    asked: float
    answered: float
    attempts: int = 1
    unknown: int = 0


def step(op: Op, state: Mapping[str, Value]) -> tuple[str, dict[str, Value]]:  # noqa: C901, PLR0911 - a table
    """The answer that an operation has to get in this state, and the new values of the groups that it changes."""
    now = state.get(op.group)
    match op.name:
        case "poison":
            return BAD, {}
        case "replace":
            return OK, dict(op.whole)
        case "edit":
            return _together(op.parts, state)
        case "undo":
            changed = [group for group, value in op.whole if state.get(group) != value]
            as_left = all(state.get(group) == value for group, value in op.left if group in changed)
            return (OK, dict(op.whole)) if as_left else (CONFLICT, {})
        case "create" if now is None:
            return OK, {op.group: op.kind}
        case "create" if op.if_exists == "fail" or now[0] != op.kind[0]:
            return EXISTS, {}
        case "create":
            return OK, {op.group: op.kind} if op.if_exists == "replace" else {op.group: now}
        case _ if now is None:
            return MISSING, {}
        case "delete":
            return OK, {op.group: None}
        case "update":
            return OK, {op.group: (now[0], op.kind[1]) if op.filter_only else op.kind}
        case "move" if state.get(op.to) is not None:
            return EXISTS, {}
        case "move":
            return OK, {op.group: None, op.to: op.kind}
    raise ValueError(op.name)


def _together(parts: Iterable[Op], state: Mapping[str, Value]) -> tuple[str, dict[str, Value]]:
    refused, now = [], dict(state)
    for part in parts:
        answer, changes = step(part, now)
        refused += [answer] if answer != OK else []
        now |= changes
    groups = [group for part in parts for group in part.groups]
    return (refused[0], {}) if refused else (OK, {group: now.get(group) for group in groups})


def undo_of(ask: Ask, before: Mapping[str, frozenset[Value]], left: Mapping[str, frozenset[Value]]) -> Op | None:
    """The operation that undoes an answered one. before, left: the values that were possible before and after it. None if
    either is not certain, or if nothing changed."""
    if ask.answer != OK or any(len(values) != 1 for values in (*before.values(), *left.values())):
        return None
    pairs = {group: (next(iter(before[group])), next(iter(left[group]))) for group in before if before[group] != left[group]}
    whole, then = (tuple((group, pair[at]) for group, pair in pairs.items()) for at in (0, 1))
    return Op("undo", whole=whole, left=then, undoes=ask.request_id) if pairs else None


def after(ask: Ask, possible: Mapping[str, frozenset[Value]]) -> dict[str, frozenset[Value]] | None:
    """The values that are possible for the operation's groups after its answer; None if this answer was not possible."""
    is_open = ask.answer == OPEN  # then all may be as it was, too
    found = {group: set(possible.get(group, ABSENT)) for group in ask.op.groups} if is_open else {}
    fits = is_open
    for state in _states(ask.op, possible):
        answer, changes = step(ask.op, state)
        if is_open or ask.answer == answer:
            fits = True
            _add(found, {**state, **changes})
    return {group: frozenset(values) for group, values in found.items()} if fits else None


def wanted(ask: Ask, possible: Mapping[str, frozenset[Value]]) -> dict[str, set[Value]]:
    """The values that the operation leaves if it is carried out."""
    found: dict[str, set[Value]] = {}
    for state in _states(ask.op, possible):
        _add(found, step(ask.op, state)[1])
    return found


def _states(op: Op, possible: Mapping[str, frozenset[Value]]) -> Iterator[dict[str, Value]]:
    if op.name == "replace":  # it does not matter what was there
        yield {group: next(iter(possible.get(group, ABSENT))) for group in op.groups}
        return
    choices = (possible.get(group, ABSENT) for group in op.groups)
    yield from (dict(zip(op.groups, values, strict=True)) for values in product(*choices))


def _add(found: dict[str, set[Value]], values: Mapping[str, Value]) -> None:
    for group, value in values.items():
        found.setdefault(group, set()).add(value)
