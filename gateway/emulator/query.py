"""OData's query options on JSON objects, as far as Graph supports them: `$filter`, `$orderby`, `$search`, `$select`, `$count`.
Error messages are those of Microsoft's OData library."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.emulator import errors

Body = dict[str, Any]
Test = Callable[[Body], bool]
TYPE = "@odata.type"
OPTIONS = ("$filter", "$select", "$expand", "$top", "$skip", "$count", "$orderby", "$search", "$skiptoken", "$format")
TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|([A-Za-z_@][\w.@/]*)|(-?\d[\w.:+-]*)|([(),]))")
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: _folded(a) == _folded(b),
    "ne": lambda a, b: _folded(a) != _folded(b),
    "gt": lambda a, b: a is not None and a > b,
    "ge": lambda a, b: a is not None and a >= b,
    "lt": lambda a, b: a is not None and a < b,
    "le": lambda a, b: a is not None and a <= b,
}
TEXT: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": lambda text, part: part in text,
}
WORDS = {"true": True, "false": False, "null": None}
ADVANCED = re.compile(r"\b(?:endswith|ne|not|contains)\b", re.IGNORECASE)


def bad(text: str) -> errors.GraphError:
    return errors.GraphError(400, "BadRequest", text, errors.flat)


def check_options(query: Mapping[str, str]) -> None:
    """Raises GraphError for an unknown system option."""
    for name in query:
        if name.startswith("$") and name not in OPTIONS:
            raise bad(f"The query parameter '{name}' is not supported.")


def is_counted(query: Mapping[str, str]) -> bool:
    """Whether `$count` is true. Raises GraphError."""
    text = query.get("$count", "false")
    if text not in ("true", "false"):
        raise bad(f"Invalid value '{text}' for $count query option found. Valid values are 'true' and 'false'.")
    return text == "true"


def chosen(objects: list[Body], query: Mapping[str, str], declared: Iterable[str], kind: str) -> list[Body]:
    """The objects that match `$filter` and `$search`, ordered by `$orderby`. declared: the properties of the type `kind`.
    Raises GraphError."""
    names = set(declared)
    if text := query.get("$filter"):
        test = Filter(text, names, kind).parsed()
        objects = [value for value in objects if test(value)]
    if text := query.get("$search"):
        objects = [value for value in objects if _found(value, text)]
    for part in reversed(query.get("$orderby", "").split(",") if query.get("$orderby") else []):
        name, _, direction = part.strip().partition(" ")
        if direction.strip().lower() not in ("", "asc", "desc"):
            raise bad(f"Syntax error at position {len(name)} in '{part}'.")
        _check_property(name, names, kind)
        backwards = direction.strip().lower() == "desc"
        objects = sorted(objects, key=lambda value: _sortable(value.get(name)), reverse=backwards)
    return objects


def selected(value: Body, query: Mapping[str, str], declared: Iterable[str], kind: str) -> Body:
    """The object with only the properties that `$select` names, its annotations, and its ID, which IntuneCD needs of filters.
    Raises GraphError."""
    text = query.get("$select")
    if not text:
        return value
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name != "*":
            _check_property(name, {*declared, *value}, kind, "Parsing OData Select and Expand failed: ")
    return {name: found for name, found in value.items() if "*" in names or "@" in name or name in (*names, "id")}


class Filter:
    """A `$filter` on objects of one type: comparisons, `in`, three string functions, `isof`, and, or, not, parentheses."""

    def __init__(self, text: str, names: set[str], kind: str) -> None:
        self._text, self._names, self._kind = text, names, kind
        self._tokens: list[tuple[str, int]] = []
        at, end = 0, len(text.rstrip())
        while at < end:
            found = TOKEN.match(text, at)
            if found is None:
                raise self._error(at)
            self._tokens.append((found[0].strip(), found.start()))
            at = found.end()
        self._at = 0

    def parsed(self) -> Test:
        """The filter as a predicate. Raises GraphError."""
        test = self._either()
        if self._at < len(self._tokens):
            raise self._error(self._tokens[self._at][1])
        return test

    def _either(self) -> Test:
        tests = [self._both()]
        while self._next_is("or"):
            tests.append(self._both())
        return lambda value: any(test(value) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._next_is("and"):
            tests.append(self._one())
        return lambda value: all(test(value) for test in tests)

    def _one(self) -> Test:
        if self._next_is("not"):
            negated = self._one()
            return lambda value: not negated(value)
        if self._next_is("("):
            test = self._either()
            self._expect(")")
            return test
        name = self._take()
        if name.lower() in TEXT:
            return self._of_text(TEXT[name.lower()])
        if name.lower() == "isof":
            return self._isof()
        _check_property(name, self._names, self._kind)
        operator = self._take()
        if operator == "in":
            return self._member(name)
        if operator not in COMPARED:
            raise self._error(self._tokens[self._at - 1][1])
        compare, wanted = COMPARED[operator], self._literal()
        return lambda value: compare(value.get(name), wanted)

    def _of_text(self, compare: Callable[[str, str], bool]) -> Test:
        self._expect("(")
        name = self._take()
        _check_property(name, self._names, self._kind)
        self._expect(",")
        part = str(self._literal()).lower()
        self._expect(")")
        return lambda value: compare(str(value.get(name) or "").lower(), part)

    def _isof(self) -> Test:
        self._expect("(")
        name = self._literal()
        self._expect(")")
        return lambda value: str(value.get(TYPE, "")).removeprefix("#").lower() == str(name).lower()

    def _member(self, name: str) -> Test:
        self._expect("(")
        wanted = [_folded(self._literal())]
        while self._next_is(","):
            wanted.append(_folded(self._literal()))
        self._expect(")")
        return lambda value: _folded(value.get(name)) in wanted

    def _literal(self) -> Any:
        text = self._take()
        if text.startswith("'"):
            return text[1:-1].replace("''", "'")
        if text in WORDS:
            return WORDS[text]
        if re.fullmatch(r"-?\d+(\.\d+)?", text):
            return float(text) if "." in text else int(text)
        if re.fullmatch(r"[\w.:+-]+", text):
            return text  # a date, a GUID
        raise self._error(self._tokens[self._at - 1][1])

    def _take(self) -> str:
        if self._at >= len(self._tokens):
            raise self._error(len(self._text))
        self._at += 1
        return self._tokens[self._at - 1][0]

    def _expect(self, wanted: str) -> None:
        if not self._next_is(wanted):
            raise self._error(self._tokens[self._at][1] if self._at < len(self._tokens) else len(self._text))

    def _next_is(self, wanted: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at][0] == wanted
        self._at += found
        return found

    def _error(self, at: int) -> errors.GraphError:
        return bad(f"Invalid filter clause: Syntax error at position {at} in '{self._text}'.")


def _check_property(name: str, names: set[str], kind: str, before: str = "") -> None:
    if name not in names:
        raise bad(f"{before}Could not find a property named '{name}' on type 'microsoft.graph.{kind}'.")


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _sortable(value: Any) -> tuple[str, Any]:
    return (type(value).__name__, _folded(value) if isinstance(value, str | int | float) else str(value))


def _found(value: Body, text: str) -> bool:
    """Whether an object matches `$search`: `"property:part"` clauses joined by AND or OR. Text without a property, which Intune
    accepts, is searched in displayName."""
    clauses = re.findall(r'"([^"]*)"', text) or [text]
    hits = []
    for clause in clauses:
        name, colon, part = clause.partition(":")
        looked = value.get(name if colon else "displayName")
        hits.append((part if colon else clause).lower() in str(looked or "").lower())
    return any(hits) if " OR " in text else all(hits)
