"""The tree of Graph's paths that may be read through, and no others. Pure.

A requested path is parsed into names and keys, each of a narrow alphabet, looked up in the tree, and built anew from it. So the
path that goes to Graph has no dots, encoded slashes, casts, functions or predicates, whatever was sent. A `$expand` is checked
as a path too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_plus

from gateway.errors import GatewayError, Reason, invalid

KEY = "{id}"
COUNT = "$count"
COMPLIANCE = "deviceManagement/deviceCompliancePolicies"
GROUPS = "groups"
# Every relation of a policy by Graph's metadata, and what hangs below it.
BELOW_A_POLICY = (
    "assignments",
    f"assignments/{KEY}",
    "scheduledActionsForRule",
    f"scheduledActionsForRule/{KEY}",
    f"scheduledActionsForRule/{KEY}/scheduledActionConfigurations",
    f"scheduledActionsForRule/{KEY}/scheduledActionConfigurations/{KEY}",
    "deviceStatuses",
    f"deviceStatuses/{KEY}",
    "userStatuses",
    f"userStatuses/{KEY}",
    "deviceSettingStateSummaries",
    f"deviceSettingStateSummaries/{KEY}",
    "deviceStatusOverview",
    "userStatusOverview",
)
BUILT_IN = (
    COMPLIANCE,
    f"{COMPLIANCE}/{COUNT}",
    f"{COMPLIANCE}/{KEY}",
    *(f"{COMPLIANCE}/{KEY}/{below}" for below in BELOW_A_POLICY),
    "deviceManagement/assignmentFilters",
    f"deviceManagement/assignmentFilters/{KEY}",
    "deviceManagement/deviceCompliancePolicySettingStateSummaries",
    GROUPS,
    f"{GROUPS}/{COUNT}",
    f"{GROUPS}/{KEY}",
)
SINGLETONS = ("deviceManagement", "deviceAppManagement")
# A GUID, with what Intune puts behind it, or a number. No name of a function is one.
ID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(_[0-9A-Za-z_-]{1,200})?|[0-9]{1,18}")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,99}")
PREDICATE = re.compile(r"([A-Za-z][A-Za-z0-9]{0,99})\('([0-9A-Za-z_-]{1,255})'\)")
# What a path may have besides the escapes of a predicate's parentheses and quotes.
PLAIN = re.compile(r"[0-9A-Za-z/_$()'-]*")
ESCAPES = {"%28": "(", "%29": ")", "%27": "'", "%24": "$", "%5f": "_", "%2d": "-"}
OPTIONS = ("$select", "$filter", "$expand", "$top", "$skip", "$count", "$orderby", "$search", "$skiptoken")
VALUE = re.compile(r"(?:[0-9A-Za-z._~!$'()*+,:@/?=-]|%[0-9A-Fa-f]{2})*")
LONGEST = 8192
# A string of OData's, whose words name nothing. One that has double quotes may itself stand in a phrase of `$search`.
STRING = re.compile(r"'[^'\"]*'")
ROWS = re.compile(r"\bassignments\b")
# By Graph's metadata, what relates a group to people, devices and other groups: a filter by it tells who they are.
RELATIONS_OF_GROUPS = frozenset(
    {
        "acceptedsenders",
        "approleassignments",
        "createdonbehalfof",
        "memberof",
        "members",
        "memberswithlicenseerrors",
        "owners",
        "rejectedsenders",
        "transitivememberof",
        "transitivemembers",
    }
)
THROUGH = re.compile(r"\b(\w+)\s*/")  # a property or relation whose own are looked at


@dataclass(frozen=True)
class ReadPath:
    """A path in the tree. path: for Graph, without the version. pattern: the path with `{id}` for keys. kind: the first
    resource, such as `groups`. policy: the ID of a compliance policy, or empty. shows: whether the answer may have a policy's
    assignments, or depend on them."""

    path: str
    pattern: str
    kind: str
    policy: str
    query: str = ""
    shows: bool = False


class Tree:
    """The built-in paths and those of `more`."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self.patterns: Mapping[str, str] = {pattern.lower(): pattern for pattern in (*BUILT_IN, *more)}

    def find(self, path: str, query: str) -> ReadPath | None:
        """The path in the tree; None if it is not there. path: as sent, without the version, beginning with a slash. Raises
        INVALID_FIELD for options that are not passed on."""
        segments = _segments(path)
        if segments is None:
            return None
        asked = "/".join(KEY if ID.fullmatch(segment) else segment for segment in segments)
        pattern = self.patterns.get(asked.lower())
        if pattern is None:
            return None
        names = pattern.split("/")
        written = "/".join(given if name == KEY else name for name, given in zip(names, segments, strict=True))
        options, shows = self._options(pattern, query)
        policy = segments[2].lower() if pattern.startswith(f"{COMPLIANCE}/{KEY}") else ""
        kind = names[1] if names[0] in SINGLETONS and len(names) > 1 else names[0]
        shows = shows or "assignments" in names
        return ReadPath(f"/{written}", pattern, kind, policy, options, shows)

    def _options(self, pattern: str, query: str) -> tuple[str, bool]:
        """The options as they go to Graph, and whether they ask for assignments."""
        if len(query) > LONGEST:
            raise invalid("query", f"may have at most {LONGEST} characters")
        seen: dict[str, str] = {}
        shows = False
        for part in filter(None, query.split("&")):
            sent, _, value = part.partition("=")
            name = option(sent)
            if name not in OPTIONS:
                raise invalid(
                    cut_name(unquote(sent)), f"is not a query option that is passed on; these are: {', '.join(OPTIONS)}"
                )
            if name in seen:
                raise invalid(name, "may be given only once")
            value = quote(value, safe="%!$'()*+,:@/?=")
            if not VALUE.fullmatch(value):
                raise invalid(name, "has a % that is not part of an escape")
            seen[name] = value
            text = unquote_plus(value)
            if name != "$search":  # which names nothing
                shows = shows or ROWS.search(STRING.sub("", text).casefold()) is not None
            if name == "$expand":
                self._check_expand(pattern, text)
            elif name in ("$filter", "$orderby") and pattern.startswith(GROUPS):
                self._check_relations(name, text)
        return "&".join(f"{name}={value}" for name, value in seen.items()), shows

    def _check_relations(self, option: str, text: str) -> None:
        """Raises INVALID_FIELD for a relation of groups that is not in the tree."""
        for word in THROUGH.findall(STRING.sub("", text)):
            if word.lower() in RELATIONS_OF_GROUPS and f"{GROUPS}/{KEY}/{word}".lower() not in self.patterns:
                raise invalid(option, f"{cut_name(word)} cannot be read through the gateway")

    def _check_expand(self, pattern: str, text: str) -> None:
        """Raises INVALID_FIELD for what is not in the tree."""
        whole = pattern if pattern.endswith(KEY) or f"{pattern}/{KEY}".lower() not in self.patterns else f"{pattern}/{KEY}"
        for part in _split(text, ","):
            name, _, inner = part.partition("(")
            below = f"{whole}/{name.strip()}"
            if not NAME.fullmatch(name.strip()) or below.lower() not in self.patterns or (inner and not inner.endswith(")")):
                raise invalid("$expand", f"{cut_name(name.strip())} cannot be read through the gateway")
            for option in _split(inner[:-1], ";"):
                key, _, value = option.strip().partition("=")
                if key.lower() not in OPTIONS or key.lower() == "$skiptoken":
                    raise invalid("$expand", f"{cut_name(key)} is not an option that the gateway passes on")
                if key.lower() == "$expand":
                    self._check_expand(below, value)


def option(sent: str) -> str:
    """The name of a query option with its `$`, which is optional in beta and for some of v1.0."""
    name = unquote(sent).lower()
    return f"${name}" if f"${name}" in OPTIONS else name


def served(patterns: Iterable[str]) -> str:
    """The readable paths, in short."""
    return ", ".join(sorted({pattern.partition(f"/{KEY}")[0].removesuffix(f"/{COUNT}") for pattern in patterns}))


def cut_name(text: str) -> str:
    return text[:64]


def nothing_here(tree: Tree, writes: Sequence[str], method: str) -> GatewayError:
    """The refusal of a path that is not served."""
    what = "There is nothing at this path" if method in ("GET", "HEAD") else "There is no write at this path"
    served_here = f"Writes: {', '.join(writes)}; read through from Graph: {served(tree.patterns.values())}"
    return GatewayError(Reason.ROUTE_UNKNOWN, f"{what}. {served_here}.")


def _segments(path: str) -> list[str] | None:
    """Names and keys in turn, predicates as keys of their own; None for a path that has anything else."""
    plain = re.sub(r"%[0-9A-Fa-f]{2}", lambda found: ESCAPES.get(found[0].lower(), found[0]), path)
    if len(plain) > LONGEST or not PLAIN.fullmatch(plain) or not plain.startswith("/"):
        return None
    segments: list[str] = []
    for segment in plain[1:].split("/"):
        found = PREDICATE.fullmatch(segment)
        if found:
            segments += found.groups()
        elif segment == COUNT or NAME.fullmatch(segment) or ID.fullmatch(segment):
            segments.append(segment)
        else:
            return None
    return segments


def _split(text: str, separator: str) -> Iterator[str]:
    """Parts of a text between separators that stand in no parentheses and no quotes. Raises INVALID_FIELD for a text that Graph
    may divide in another way: with phrases in double quotes, or with quotes or parentheses that do not match."""
    depth, quoted, start = 0, False, 0
    for at, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == separator and depth == 0:
            yield text[start:at]
            start = at + 1
        if depth < 0 or letter == '"':
            break
    else:
        if depth == 0 and not quoted:
            yield from filter(None, [text[start:]])
            return
    raise invalid("$expand", "may have no double quotes outside strings, and its quotes and parentheses have to match")
