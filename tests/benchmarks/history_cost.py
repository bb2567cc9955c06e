"""What a policy's history costs: the time of a write's transactions with it and without, the bytes that a write of a set of 10,
200 and 2,000 rows leaves in the ledger, and how long `audit --target` takes in one of 1,000,000 entries and 200,000 revisions;
SQLite and PostgreSQL. `python tests/benchmarks/history_cost.py [writes] [bytes] [search]`, or all three. Some minutes."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple
from uuid import UUID, uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

import sqlalchemy as sa
from postgres_server import BINARIES, Server
from rich.console import Console
from rich.table import Table

from gateway.changes import RowChange, encoded
from gateway.cli.loop import run
from gateway.config import LedgerConfig
from gateway.entry import OK, Entry, claim_of, utc_now
from gateway.ledger import contents, schema, touches
from gateway.ledger.databases import database_of
from gateway.ledger.ledger import Query
from gateway.ledger.packing import packed, row_of
from gateway.ledger.sql_ledger import SqlLedger
from gateway.odata import dumps
from gateway.revision import Change, PolicyName, Revision

SIZES, WRITES, ROUNDS = (10, 200, 2_000), 100, 5
ENTRIES, REVISIONS, AT_ONCE = 1_000_000, 200_000, 5_000
POLICIES, GROUPS = 2_000, 20_000
RANDOM = Random(15)


class Step(NamedTuple):
    """before, after: the set as JSON."""

    before: bytes
    after: bytes
    change: RowChange


def guid() -> str:
    return str(UUID(int=RANDOM.getrandbits(128), version=4))


def row_for(policy: str, group: str) -> dict[str, Any]:
    filtered = RANDOM.random() < 0.3
    return {
        "id": f"{policy}_{group}",
        "source": "direct",
        "sourceId": policy,
        "target": {
            "@odata.type": "#microsoft.graph.groupAssignmentTarget",
            "deviceAndAppManagementAssignmentFilterId": guid() if filtered else None,
            "deviceAndAppManagementAssignmentFilterType": "include" if filtered else "none",
            "groupId": group,
        },
    }


def sets(policy: str, size: int) -> Iterator[Step]:
    """A policy's set, time and again with one row less and one more."""
    rows = [row_for(policy, guid()) for _ in range(size)]
    before = dumps(rows).encode()
    while True:
        group = guid()
        rows = [*rows[1:], row_for(policy, group)]
        after = dumps(rows).encode()
        yield Step(before, after, RowChange(f"group {group}", (), (rows[-1],)))
        before = after


async def write(ledger: SqlLedger, name: PolicyName, history: bool, some: Step) -> None:
    """As a caller's create goes through the ledger, from the claim to the lease that is let go of."""
    before, after, change = some
    request_id = str(uuid4())
    claim = await ledger.claim(
        Entry(
            id=str(uuid4()),
            caller="hr",
            tenant=name.tenant,
            operation="CreateComplianceAssignment",
            policy=name.policy,
            target=change.target,
            request_id=request_id,
            digest="d" * 64,
            began_at=utc_now(),
            claim=claim_of("hr", name.tenant, request_id),
            request=b"r" * 120,
        )
    )
    entry, etag = claim.entry, f'"{"e" * 32}"'
    if history:
        entry = replace(entry, changes=encoded([change]), etag_before=etag)
    grant = await ledger.acquire(name, 1_000_000)
    touched = dumps([["group", change.target], change.before, change.after]).encode()
    revision = Revision(generation=grant.generation, route="assign", client_request_id=str(uuid4()), touched=touched)
    revision = replace(revision, sent=after)
    if history:
        revision = replace(revision, base=before, etag_before=etag)
    number, _ = await ledger.write_down(name, revision, [replace(entry, sent=b"s" * 150)])
    read_back = {"touched": touched, "etag": etag} if history else {}
    changes = [Change(number, "shown", acked=True, landed=True, answered=True, **read_back)]
    await ledger.conclude(name, grant.generation, [*changes, Change(number - 1, "settled")])
    await ledger.update([replace(entry, etag=etag if history else "", revision=number).finished(OK, b"a" * 200)])
    await ledger.release(name, grant.generation)


async def writes(urls: dict[str, Callable[[], str]]) -> Table:
    table = Table("ledger", "at once", "history", "ms a write", "CPU µs a write", title="sets of 100 rows")
    for kind, new in urls.items():
        ledger = SqlLedger(LedgerConfig(url=new()))
        await ledger.start()
        for at_once in (1, 64):
            times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
            for number in range(2 * ROUNDS):
                history = bool(number % 2)
                policies = [PolicyName("t", "deviceCompliancePolicies", guid()) for _ in range(at_once)]
                work = {policy: list(islice(sets(policy.policy, 100), 640 // at_once)) for policy in policies}

                async def some(policy: PolicyName, history: bool = history, work: Any = work, to: Any = ledger) -> None:
                    for one in work[policy]:
                        await write(to, policy, history, one)

                began, cpu = time.perf_counter(), time.process_time()
                await asyncio.gather(*map(some, policies))
                times[history].append(((time.perf_counter() - began) / 640, (time.process_time() - cpu) / 640))
            for history, found in times.items():
                wall, cpu = map(median, zip(*found, strict=True))
                table.add_row(kind, str(at_once), "yes" if history else "no", f"{wall * 1e3:.2f}", f"{cpu * 1e6:.0f}")
        await ledger.close()
    return table


async def bytes_a_write(urls: dict[str, Callable[[], str]]) -> Table:
    table = Table(
        "ledger", "rows", "history", "bytes a write", "ms a write", title=f"{WRITES} writes of one policy, all settled"
    )
    for kind, new in urls.items():
        for size in SIZES:
            for history in (False, True):
                url = new()
                ledger = SqlLedger(LedgerConfig(url=url))
                await ledger.start()
                policy = PolicyName("t", "deviceCompliancePolicies", guid())
                work = list(islice(sets(policy.policy, size), WRITES))
                empty, began = size_of(url), time.perf_counter()
                for one in work:
                    await write(ledger, policy, history, one)
                took = (time.perf_counter() - began) / WRITES
                await ledger.close()
                left = (size_of(url) - empty) / WRITES
                table.add_row(kind, str(size), "yes" if history else "no", f"{left:,.0f}", f"{took * 1e3:.1f}")
    return table


def size_of(url: str) -> int:
    """Bytes of the tables and their indexes, without what is free in them."""
    with database_of(url, None).writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if url.startswith("sqlite"):
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("VACUUM")
            pages = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size")]
            connection.exec_driver_sql("BEGIN")
            return pages[0] * pages[1]
        connection.exec_driver_sql("VACUUM FULL")
        return int(
            connection.exec_driver_sql(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = 'public'::regnamespace"
            ).scalar_one()
        )


def fill(url: str) -> str:
    """1,000,000 entries of writes, 200,000 of them with their revisions. A group that some of them touched."""
    policies, groups = [guid() for _ in range(POLICIES)], [guid() for _ in range(GROUPS)]
    numbers = dict.fromkeys(policies, 0)
    position = count(1)
    with database_of(url, None).writer.connect() as connection:
        for first in range(0, ENTRIES, AT_ONCE):
            kept: dict[sa.Table, list[dict[str, Any]]] = {
                table: [] for table in (schema.entries, schema.contents, schema.revisions)
            }
            finished = []
            for at in range(first, first + AT_ONCE):
                policy, group, moment = RANDOM.choice(policies), RANDOM.choice(groups), f"2026-01-01T00:00:00.{at:06}Z"
                row = row_for(policy, group)
                if at % 10:
                    how = ((), (row,)) if at % 3 else ((row,), ())
                    change = RowChange(f"group {group}", *how)
                else:
                    change = RowChange("all_devices", (row,), ())
                facts = {"caller": "hr", "tenant": "t", "operation": "CreateComplianceAssignment", "policy": policy}
                ids = {"request_id": guid(), "client_request_id": guid(), "graph_request_id": guid(), "digest": "d" * 64}
                times = {"began_at": moment, "ended_at": moment, "outcome": OK, "state": "finished", "hash": "h" * 64}
                entry = Entry(id=guid(), target=change.target, position=next(position), **facts, **ids, **times)
                entry = entry.with_changes(encoded([change]))
                if at < REVISIONS:
                    numbers[policy] += 1
                    entry = replace(entry, revision=numbers[policy])
                    base = dumps([row, {"id": at}]).encode()
                    kept[schema.contents].append({"digest": contents.digest_of(base), "body": packed(base)})
                    name = {"tenant": "t", "set": "deviceCompliancePolicies", "policy": policy, "number": numbers[policy]}
                    facts = {"generation": 1, "owner": 1, "kind": "write", "route": "assign", "client_request_id": guid()}
                    facts |= {"touched": base, "state": "settled", "written_at": float(at), "acked_at": float(at)}
                    kept[schema.revisions].append(name | facts | {"base": kept[schema.contents][-1]["digest"]})
                finished.append(entry)
                kept[schema.entries].append(row_of(entry))
            with connection.begin():
                for table, rows in kept.items():
                    if rows:
                        connection.execute(table.insert(), rows)
                touches.insert(connection, finished)
        with connection.begin():
            connection.execute(schema.chain.update().values(head_position=ENTRIES))
            connection.exec_driver_sql("ANALYZE")
    return groups[0]


async def search(urls: dict[str, Callable[[], str]]) -> Table:
    table = Table("ledger", "question", "found", "first, ms", "again, ms", title="1,000,000 entries, 200,000 revisions")
    for kind, new in urls.items():
        url = new()
        ledger = SqlLedger(LedgerConfig(url=url))
        await ledger.start()
        group = fill(url)
        asked = {
            "touched=<group>": Query(touched=group),
            "touched='group <group>', newest 50": Query(touched=f"group {group}", newest=50),
            "touched=<8 letters>, removed, newest 50": Query(touched=group[:8], how="removed", newest=50),
            "touched=all_devices, newest 50": Query(touched="all_devices", newest=50),
            "touched=group, newest 50": Query(touched="group", newest=50),
            "touched=<none>": Query(touched="ffff0000", newest=50),
            "target=<group>, newest 50": Query(target=group, newest=50),
        }
        for words, query in asked.items():
            reader, times = SqlLedger(LedgerConfig(url=url)), []
            for _ in range(2):
                began = time.perf_counter()
                found = list(reader.find(query))
                times.append(time.perf_counter() - began)
            table.add_row(kind, words, str(len(found)), *(f"{took * 1e3:.0f}" for took in times))
        await ledger.close()
    return table


PARTS = {"writes": writes, "bytes": bytes_a_write, "search": search}


async def main() -> None:
    with ExitStack() as stack:
        folder, number = stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd())), count()
        urls: dict[str, Callable[[], str]] = {"SQLite": lambda: f"sqlite:///{folder}/{next(number)}.db"}
        if BINARIES:
            server = Server()
            stack.callback(server.remove)
            urls["PostgreSQL"] = server.new_database
        for name in sys.argv[1:] or PARTS:
            Console().print(await PARTS[name](urls))


if __name__ == "__main__":
    run(main())
