"""The names of policies, groups and filters, read from Graph in batches and cached for ten minutes.

Names are optional: if they cannot be read, because of Graph's errors too, the answer is given without them and says why. Names
never appear in errors.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from compliance_gateway.v1.name_pb2 import ObjectName

from gateway.assignments.pages import pages
from gateway.assignments.remembered import Remembered
from gateway.assignments.rows import Row, target_of
from gateway.call import Call, Record
from gateway.errors import GatewayError, Reason, cut
from gateway.graph.client import GraphClient
from gateway.ids import GUID, canonical_guid
from gateway.odata import dumps
from gateway.odata.targets import filter_of, group_of
from gateway.sets import COMPLIANCE

KEPT_S = 600.0
# How long an answer may wait for names, and which part of the time that is left for it.
LONGEST_S, SHARE = 5.0, 0.5
IDS_OF_A_REQUEST = 1_000
# Of one tenant: what is kept, and what one of them takes beside its name (measured with tracemalloc, Python 3.11).
KEPT_BYTES, OF_A_NAME = 4 << 20, 420
NAME_BYTES = 1_024
FILTERS = "/beta/deviceManagement/assignmentFilters"
GROUPS = "/v1.0/directoryObjects/getByIds"
NAMES_ONLY = "?$select=id,displayName"
REFUSED = (Reason.GRAPH_PERMISSION_MISSING, Reason.GRAPH_FORBIDS)

NameKind: TypeAlias = ObjectName.Kind.ValueType
State: TypeAlias = ObjectName.State.ValueType
POLICY, GROUP, FILTER = ObjectName.KIND_POLICY, ObjectName.KIND_GROUP, ObjectName.KIND_FILTER
WORDS: Mapping[NameKind, str] = {POLICY: "policy", GROUP: "group", FILTER: "filter"}  # as rules have them
TREES = {POLICY: COMPLIANCE.path, FILTER: FILTERS}


class Id(NamedTuple):
    """What is named; an empty ID stands for all objects of the kind."""

    kind: NameKind
    id: str


class Name(NamedTuple):
    """What is known of a name."""

    state: State
    text: str = ""


Found = dict[Id, Name]
MISSING, UNAVAILABLE = Name(ObjectName.STATE_PERMISSION_MISSING), Name(ObjectName.STATE_UNAVAILABLE)
GONE, NOT_PERMITTED = Name(ObjectName.STATE_GONE), Name(ObjectName.STATE_CALLER_NOT_PERMITTED)


def ids_in(rows: Iterable[Row]) -> Iterator[Id]:
    """Groups and filters that the rows name, each as often as they do."""
    for row in rows:
        target = target_of(row)
        group, (filter_id, _) = group_of(target), filter_of(target)
        yield from (Id(kind, canonical_guid(one)) for kind, one in ((GROUP, group), (FILTER, filter_id)) if GUID.fullmatch(one))


class DisplayNames:
    """graphs: tenant name -> client."""

    def __init__(self, graphs: Mapping[str, GraphClient], clock: Callable[[], float] = time.monotonic) -> None:
        self._graphs = graphs
        self._kept = {
            name: Remembered[Id, Name](KEPT_S, KEPT_BYTES, lambda _, name: OF_A_NAME + len(name.text.encode()), clock)
            for name in graphs
        }
        self._turns: dict[tuple[str, NameKind], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def told(self, call: Call, policy: str, rows: Iterable[Row]) -> list[ObjectName]:
        """What the call's caller may know of what the rows of the policy name, each once."""
        wanted = dict.fromkeys((Id(POLICY, policy), *ids_in(rows)))
        permitted = {kind for kind in {one.kind for one in wanted} if call.may_name(WORDS[kind])}
        record = Record(call=call.record.call)
        found = await self.find(call.tenant, [one for one in wanted if one.kind in permitted], call.deadline, record)
        asked = int(str(record.facts.get("graph_requests", 0)))
        call.record.note(names=len(found), graph_requests=int(str(call.record.facts.get("graph_requests", 0))) + asked)
        names = ((one, found.get(one, NOT_PERMITTED)) for one in wanted)
        return [ObjectName(id=one.id, kind=one.kind, state=name.state, display_name=name.text) for one, name in names]

    async def find(self, tenant: str, wanted: Collection[Id], deadline: float, record: Record) -> Found:
        """The names of all. deadline: event loop's clock; at most half of the time until then is used."""
        now = asyncio.get_running_loop().time()
        until = now + min((deadline - now) * SHARE, LONGEST_S)
        by_kind: dict[NameKind, list[Id]] = defaultdict(list)
        for one in wanted:
            by_kind[one.kind].append(one)
        found: Found = {}
        for some in await asyncio.gather(*(self._of_kind(tenant, kind, ids, until, record) for kind, ids in by_kind.items())):
            found |= some
        return found

    async def _of_kind(self, tenant: str, kind: NameKind, ids: Sequence[Id], until: float, record: Record) -> Found:
        """Reads the names of one kind. One reads at a time, for all; those that come meanwhile find the names cached."""
        found = self._known(tenant, ids)
        try:
            async with asyncio.timeout_at(until), self._turns[tenant, kind]:
                found = self._known(tenant, ids)
                if left := [one for one in ids if one not in found]:
                    asked = await self._ask(tenant, kind, left, until, record)
                    fresh = dict.fromkeys(left, GONE) | asked
                    for one, name in fresh.items():
                        self._kept[tenant].put(one, name)
                    found |= {one: fresh[one] for one in left}
        except (GatewayError, TimeoutError) as error:
            is_refused = isinstance(error, GatewayError) and error.reason in REFUSED
            if is_refused:
                self._kept[tenant].put(Id(kind, ""), MISSING)
            found = dict.fromkeys(ids, MISSING if is_refused else UNAVAILABLE) | found
        return found

    def _known(self, tenant: str, ids: Sequence[Id]) -> Found:
        kept = self._kept[tenant]
        of_all = kept.get(Id(ids[0].kind, ""))
        return {one: name for one in ids if (name := kept.get(one) or of_all) is not None}

    async def _ask(self, tenant: str, kind: NameKind, ids: Sequence[Id], until: float, record: Record) -> Found:
        """What Graph knows, which may be more than was asked for."""
        graph, found = self._graphs[tenant], Found()

        async def ask(path: str, body: bytes | None = None) -> Any:
            return (await graph.get(path, deadline=until, record=record, body=body)).json

        if kind in TREES:
            async for rows in pages(ask, f"{TREES[kind]}{NAMES_ONLY}"):
                found |= _names(kind, rows)
            return found
        for start in range(0, len(ids), IDS_OF_A_REQUEST):
            some = [one.id for one in ids[start : start + IDS_OF_A_REQUEST]]
            body = dumps({"ids": some, "types": ["group"]}).encode()
            async for rows in pages(_first(ask, body), GROUPS):
                found |= _names(kind, rows)
        return found


def _first(ask: Callable[..., Awaitable[Any]], body: bytes) -> Callable[[str], Awaitable[Any]]:
    """Asks by the body, and follows links without it."""
    return lambda path: ask(path, body if path == GROUPS else None)


def _names(kind: NameKind, rows: Iterable[Row]) -> Found:
    """Of Graph's objects; one that comes without its name may not be read."""
    found: Found = {}
    for row in rows:
        text = row.get("displayName")
        named = Name(ObjectName.STATE_KNOWN, cut(text, NAME_BYTES)) if isinstance(text, str) and text else MISSING
        found[Id(kind, canonical_guid(str(row.get("id"))))] = named
    return found
