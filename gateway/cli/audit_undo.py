"""`audit undo`: how to put back what an entry or a revision did; with the configuration and the right to, puts it back."""

import asyncio
import getpass
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated
from uuid import uuid4

import typer
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb

from gateway.assignments.rows import Touch, key_of, value_of
from gateway.bootstrap import without_doors
from gateway.call import CALLER_NAME, Call, Caller, decoded
from gateway.cli.audit_history import (
    OfTenant,
    changes_between,
    nothing_of,
    say,
    stop,
    the_entry,
    the_policy,
    the_revision,
    touched_by,
)
from gateway.cli.audit_ledger import ConfigFile, LedgerUrl, opened
from gateway.cli.audit_views import change_lines, changes_of, who
from gateway.cli.loop import load_or_exit, refuse, run
from gateway.config import Config, ConfigError
from gateway.entry import Entry
from gateway.errors import GatewayError
from gateway.ids import canonical_guid
from gateway.ledger.ledger import LedgerReader
from gateway.odata import dumps
from gateway.odata.targets import Key
from gateway.operations import OPERATIONS
from gateway.pipeline.validate import TENANT_HEADER
from gateway.revision import Kept, PolicyName
from gateway.sets import COMPLIANCE, SETS

OPERATION = OPERATIONS["RestoreComplianceAssignments"]
PREFIX = "operator"
TIMEOUT_S = 120.0
LOOKED_AT = 1_000  # the most later revisions that are searched for changes of the same rows
POLICY = "device_compliance_policy_id"


class OnConflict(StrEnum):
    """What to do with rows that somebody has changed since."""

    KEEP_CURRENT = "keep-current"
    FORCE = "force"


# In JSON at REST and at gRPC, for the message, and of a row that was changed since.
CHOICES: Mapping[OnConflict | None, tuple[str, str, pb.OnConflict.ValueType, str]] = {
    None: ("", "", pb.ON_CONFLICT_UNSPECIFIED, "fails with RESTORE_CONFLICT, unless --on-conflict says what to do"),
    OnConflict.KEEP_CURRENT: ("keepCurrent", "ON_CONFLICT_KEEP_CURRENT", pb.ON_CONFLICT_KEEP_CURRENT, "stays as it is"),
    OnConflict.FORCE: ("force", "ON_CONFLICT_FORCE", pb.ON_CONFLICT_FORCE, "is restored anyway"),
}


@dataclass(frozen=True)
class Undoing:
    """What is to be undone. source: `entry` and its id, or `revision` and its number. touched: what that did to rows."""

    policy: PolicyName
    source: Mapping[str, str | int]
    number: int
    touched: Mapping[Key, Touch]
    on_conflict: OnConflict | None = None


def undo(
    what: Annotated[
        str, typer.Argument(metavar="ENTRY|REVISION", help="An entry's ID, or the beginning of one; or a revision's number.")
    ],
    config: ConfigFile = None,
    ledger: LedgerUrl = "",
    policy: Annotated[str, typer.Option(help="The policy's ID, or the beginning of it; required for a revision.")] = "",
    tenant: OfTenant = "",
    on_conflict: Annotated[
        OnConflict | None,
        typer.Option(
            help="What to do with rows that were changed since: keep-current leaves them, force restores them. Without this "
            "option, the undo is refused if there are such rows."
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Carry out the undo, as the caller operator:USER; needs --config.")
    ] = False,
) -> None:
    """Show what undoing a write would change, and the calls that undo it; with --config and --yes, carry it out.

    With --yes, the undo passes all steps of the gateway: the rules apply to it, and it becomes an entry that can be undone too.
    A ledger in a file must not be in use then: while a gateway runs, use the calls that are shown."""
    if yes and config is None:
        raise typer.BadParameter("needs --config, which has the credentials and rules", param_hint="--yes")
    with opened(config, ledger) as reader:
        undoing = replace(_undoing(reader, what, tenant, policy), on_conflict=on_conflict)
        since = {} if yes else _since(reader, undoing)
    if config is None or not yes:
        say(_preview(undoing, since))
        say(["", *commands(undoing)])
        return
    try:
        entry_id = run(carry_out(load_or_exit(config), undoing))
    except ConfigError as exc:
        refuse(exc.mistakes)
        raise stop("A running gateway can carry out the undo:", *commands(undoing)) from None
    except GatewayError as error:
        words = [] if error.message and error.violations == () else [f"  {v.field}: {v.rule}" for v in error.violations]
        raise stop(f"not undone: {error.reason.name}: {error.message}", *words) from None
    with opened(config, ledger) as reader:
        say(_done(the_entry(reader, entry_id)))


async def carry_out(config: Config, undoing: Undoing) -> str:
    """Through all the steps of a call. The id of its entry. Raises GatewayError, ConfigError."""
    caller = operator()
    message = pb.RestoreComplianceAssignmentsRequest(request_id=str(uuid4()), on_conflict=CHOICES[undoing.on_conflict][2])
    for name, value in {POLICY: undoing.policy.policy, **undoing.source}.items():
        setattr(message, name, value)
    async with without_doors(config, caller) as handler:
        call = Call(
            OPERATION,
            decode=decoded(message),
            metadata={TENANT_HEADER: (undoing.policy.tenant,)},
            deadline=asyncio.get_running_loop().time() + TIMEOUT_S,
            door="command",
            policy=undoing.policy.policy,
        )
        await handler(call)
    return call.id


def operator() -> Caller:
    """Who runs this command, by the system's own word; no environment variable counts where the system has users."""
    try:
        import pwd  # noqa: PLC0415 - not on Windows

        name = pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        name = getpass.getuser()
    caller = f"{PREFIX}:{name}"
    if not CALLER_NAME.fullmatch(caller):
        raise stop("This user's name cannot be used as a caller's name, which has to be printable ASCII.")
    return Caller(caller)


def commands(undoing: Undoing) -> list[str]:
    """For the caller's side, by REST and by gRPC. Nothing in them is more to a shell than text."""
    path = next(rule.path for rule in OPERATION.http if rule.path.startswith("/beta/"))
    url = path.format(**{POLICY: undoing.policy.policy})
    tenant = f"{TENANT_HEADER}: {undoing.policy.tenant}"
    at_rest, at_grpc = ({"onConflict": word} if word else {} for word in CHOICES[undoing.on_conflict][:2])
    body = dumps({**undoing.source, **at_rest})
    message = dumps({"deviceCompliancePolicyId": undoing.policy.policy, **undoing.source, **at_grpc})
    return [
        "With GATEWAY=https://… and the TOKEN of a caller that may RestoreComplianceAssignments, run:",
        f'  curl -sS -X POST "$GATEWAY"{shlex.quote(url)} \\',
        f'    -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -H {shlex.quote(tenant)} \\',
        f"    -d {shlex.quote(body)}",
        "or, with GRPC=host:port:",
        f'  grpcurl -H "authorization: Bearer $TOKEN" -H {shlex.quote(tenant)} \\',
        f"    -d {shlex.quote(message)} \\",
        f'    "$GRPC" {OPERATION.service}/{OPERATION.name}',
    ]


def _undoing(reader: LedgerReader, what: str, tenant: str, policy: str) -> Undoing:
    is_number = what.isascii() and what.isdecimal()
    if policy and is_number:
        kept = the_revision(reader, the_policy(reader, tenant, policy), int(what))
        return Undoing(kept.policy, {"revision": kept.number}, kept.number, touched_by(kept))
    if is_number and not reader.entries_named(what):
        raise stop(f"No entry has this ID, or an ID that begins with it. To undo revision {what} of a policy, add --policy.")
    entry = the_entry(reader, what)
    if policy and not entry.policy.startswith(canonical_guid(policy)):
        raise stop(f"Entry {entry.id} belongs to policy {entry.policy}.")
    if tenant and tenant != entry.tenant:
        raise stop(f"Entry {entry.id} belongs to tenant {entry.tenant}.")
    if not (changes := changes_of(entry)):
        raise stop(f"There is nothing to undo in entry {entry.id}. {nothing_of(entry)}")
    touched = {key_of((*one.before, *one.after)[0]): Touch(one.before, one.after) for one in changes}
    of = OPERATIONS[entry.operation].set if entry.operation in OPERATIONS else COMPLIANCE
    name = PolicyName(entry.tenant, of.name, entry.policy)
    return Undoing(name, {"entry": entry.id}, entry.revision or 0, touched)


def _since(reader: LedgerReader, undoing: Undoing) -> dict[Key, tuple[Kept, Touch]]:
    """The newest revision that changed a row again, by key; as far as is looked."""
    found: dict[Key, tuple[Kept, Touch]] = {}
    for kept in reader.revisions(*_ordered(undoing.policy), newest=LOOKED_AT):
        if kept.number <= undoing.number:
            break
        for key, touch in touched_by(kept).items():
            if key in undoing.touched:
                found.setdefault(key, (kept, touch))
    return found


def _ordered(policy: PolicyName) -> tuple[str, str, str]:
    return policy.tenant, policy.policy, policy.set


def _preview(undoing: Undoing, since: Mapping[Key, tuple[Kept, Touch]]) -> Iterator[str]:
    of, again = SETS[undoing.policy.set], {key: touch for key, (_, touch) in since.items()}
    now = {key: again[key].after if key in again else touch.after for key, touch in undoing.touched.items()}
    differing = {
        key: Touch(now[key], touch.before)
        for key, touch in undoing.touched.items()
        if value_of(of, now[key]) != value_of(of, touch.before)
    }
    conflicts = [
        key for key in differing if key in since and value_of(of, now[key]) != value_of(of, undoing.touched[key].after)
    ]
    left = conflicts if undoing.on_conflict is OnConflict.KEEP_CURRENT else []
    changing = {key: touch for key, touch in differing.items() if key not in left}
    words = (
        "the undo would change:" if changing else "the undo would change nothing." if left else "the change is undone already."
    )
    yield f"According to the ledger, {words}"
    yield from change_lines(changes_between(changing), most=len(changing))
    for key in conflicts:
        kept = since[key][0]
        by = ", ".join(sorted({who(entry) for entry in kept.entries})) or "somebody else"
        yield f"    changed since in revision {kept.number}, by {by}: {CHOICES[undoing.on_conflict][3]}"


def _done(entry: Entry) -> Iterator[str]:
    changes = changes_of(entry)
    yield f"undone by {entry.caller}, entry {entry.id}" if changes else "nothing to undo: the rows are as they were before"
    yield from change_lines(changes, most=len(changes))
