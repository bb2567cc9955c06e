"""Lets a call pass if its caller may do what it asks for. The authorizer is asked before anything is read, and again by the
edit itself for what only the policy's rows show: which assignment an update or deletion touches, and what a replacement would
remove."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Protocol

from compliance_gateway.v1.assignment_pb2 import DeviceAndAppManagementAssignmentTarget
from google.protobuf.message import Message

from gateway.call import ETAG, Call, Handler, Record
from gateway.errors import GatewayError, Reason, invalid
from gateway.odata import ODataError, codec
from gateway.odata.targets import NO_FILTER, filter_of, ids_of, kind_of, kinds_meant
from gateway.operations import OPERATIONS, PERMITTED
from gateway.pace import at_once, rest, slowly
from gateway.pipeline.cedar import Decision, Question
from gateway.pipeline.discretion import asks_for_the_count, blind_answer, blind_error, blind_warning, check_confirmed
from gateway.pipeline.rules import READ_NAMES
from gateway.pipeline.validate import TENANT_HEADER

TARGET = codec(DeviceAndAppManagementAssignmentTarget.DESCRIPTOR)
REPLACE = "ReplaceComplianceAssignments"
EDITS = ("create", "update", "delete")
OF_ROWS = OPERATIONS["ListComplianceAssignments"].service  # whose reads tell of assignments; a policy's own tell of the policy
READS = tuple(name for name, one in OPERATIONS.items() if one.service == OF_ROWS and one.of_policy and not one.writes)
SEES_ALL = ("ListComplianceAssignments",)
# Their answers and errors tell of the whole set; a policy's own, whether it is assigned and how often.
OF_POLICIES = ("GetCompliancePolicy", "ListCompliancePolicies")
OF_ALL = (REPLACE, "EditComplianceAssignments", "RestoreComplianceAssignments", *OF_POLICIES)


class Authorizer(Protocol):
    """Decides what callers may do. Plug-ins register in the entry-point group `compliance_gateway.authorizers`; they are
    constructed with the path `authorization.rules_file`, and have to pass gateway.testing.authorizer_contract."""

    def ask(self, question: Question) -> Decision:
        """Whether the caller may do what the question says; for the operation `ReadNames`, for the kind of objects in `kinds`.
        Must not block."""
        ...

    def where(self, caller: str, operation: str, tenants: Collection[str]) -> Collection[str]:
        """The tenants in which the caller may do the operation at all; two suffice of those that no rule distinguishes. None if
        it may not, whatever the tenant, policy and targets. Called for every call before its message is read, always with the
        same tenants. Returning all of them is always correct. Must not block."""
        ...

    def reload(self) -> None:
        """Reloads what has changed; may block."""
        ...

    def health(self) -> Mapping[str, str]:
        """By name, the fault of each part that it depends on; empty if there is none."""
        ...


class AuthorizeOperation:
    """The step before the message is read: a caller that may not do the operation at all costs no more than this."""

    def __init__(self, authorizer: Authorizer, tenants: Collection[str]) -> None:
        self._authorizer, self._tenants = authorizer, tenants

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises CALLER_NOT_PERMITTED."""
        caller, operation = call.caller.name if call.caller else "", call.operation.name
        if not self._authorizer.where(caller, operation, self._tenants):
            raise GatewayError(
                Reason.CALLER_NOT_PERMITTED, f"{caller} lacks the permission {operation}.", metadata={"permission": operation}
            )
        return await next_handler(call)


class Authorize:
    """The step that judges the whole request. tenants: the configured names."""

    def __init__(self, authorizer: Authorizer, tenants: Collection[str]) -> None:
        self._authorizer, self._tenants = authorizer, tenants

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises CALLER_NOT_PERMITTED, which names the missing permission, and TENANT_REQUIRED."""
        if call.operation.writes:
            question = await slowly(asking(call))
            await rest()
        else:  # it names no target
            question = at_once(asking(call))
        if not call.tenant:
            question = self._in_the_only_tenant(question)
        _refuse(question, self._missing(question))
        if call.read and call.read.shows:  # whatever way they are asked for
            shown = bare(question, *SEES_ALL)
            _refuse(shown, self._authorizer.ask(shown).missing)
        if question.operation == REPLACE and asks_for_the_count(call.message) and not self._may_see(question):
            check_confirmed(call.message)
            _refuse(question, *SEES_ALL)
        await rest()
        call = call.found(tenant=question.tenant, judge=self._judge(question), may_name=partial(self._may_name, question))
        try:
            answer = await next_handler(call)
        except GatewayError as error:
            if self._may_see(question):
                raise
            _blind(call.record)
            raise blind_error(error, question.operation) from None
        if self._may_see(question):  # asked by the rules of now: the answer may be an old one
            return answer
        _blind(call.record)
        return blind_answer(call.message, answer)

    def _may_see(self, asked: Question) -> bool:
        """Whether the caller may read what an answer to this tells: rows of others, or its own row."""
        if not (PERMITTED[asked.operation].writes or asked.operation in OF_POLICIES):
            return True
        reads = SEES_ALL if asked.operation in OF_ALL else READS
        return any(not self._authorizer.ask(bare(asked, operation)).missing for operation in reads)

    def _missing(self, asked: Question) -> str:
        """The permission that is missing already before the rows are known. A set may hold what its caller may not touch, if it
        stays as it is: only the rows tell, and only to who may see them."""
        missing = self._authorizer.ask(asked).missing
        if missing and asked.operation == REPLACE and self._may_see(asked):
            return self._authorizer.ask(bare(asked, REPLACE)).missing
        return missing

    def _in_the_only_tenant(self, asked: Question) -> Question:
        """Where the caller names no tenant: the one in which it may, if that is one."""
        where = self._authorizer.where(asked.caller, asked.operation, self._tenants)
        everywhere = (replace(asked, tenant=tenant) for tenant in where)
        permitted = [*islice((question for question in everywhere if not self._missing(question)), 2)]
        if len(permitted) > 1:
            raise invalid(TENANT_HEADER, "has to name one of the tenants", Reason.TENANT_REQUIRED)
        return permitted[0] if permitted else replace(asked, tenant="any tenant")

    def _may_name(self, asked: Question, kind: str) -> bool:
        question = replace(bare(asked, READ_NAMES), kinds=frozenset({kind}))
        return not self._authorizer.ask(question).missing

    def _judge(self, asked: Question) -> Callable[[Sequence[Any], Sequence[Any]], None]:
        def judge(added: Sequence[Any], removed: Sequence[Any]) -> None:
            question = at_once(touching(asked, added, removed))
            _refuse(question, self._authorizer.ask(question).missing)

        return judge


def _refuse(question: Question, missing: str) -> None:
    if missing:
        kinds = f" for {', '.join(sorted(question.kinds))}" if question.kinds else ""
        on = (f" on policy {question.policy}" if question.policy else "") + (f" for {question.path}" if question.path else "")
        raise GatewayError(
            Reason.CALLER_NOT_PERMITTED,
            f"{question.caller} lacks the permission {missing}{kinds}{on} in {question.tenant}.",
            metadata={"permission": missing},
        )


def _blind(record: Record) -> None:
    """The metadata of an answer or error without IDs of rows, and without the etag of the set."""
    record.warnings[:] = map(blind_warning, record.warnings)
    record.trailers.pop(ETAG, None)


def bare(asked: Question, operation: str) -> Question:
    """The same question for another operation on the policy, without targets."""
    return Question(asked.caller, operation, asked.tenant, asked.policy)


def asking(call: Call) -> Generator[None, None, Question]:
    """The question as far as the request itself tells it, in steps of one target."""
    message: Any = call.message
    caller = call.caller.name if call.caller else ""
    if call.read:
        return Question(caller, call.operation.name, call.tenant, call.policy, path=call.read.pattern, kind=call.read.kind)
    policy = message.device_compliance_policy_id if call.operation.of_policy else ""
    asked = Question(caller, call.operation.name, call.tenant, policy)
    if not call.operation.writes:  # and so names no target
        return asked
    named: list[list[dict[str, Any]]] = [[], [], []]
    try:
        for targets, found in zip(_targets_of(message), named, strict=True):
            for target in targets:
                found.append(TARGET.to_json(target))
                yield
    except ODataError:  # the service reports the fault, and carries out nothing
        return asked
    added, changed, removed = named
    # Of an update the row's own target counts, and only the row has it.
    return (yield from touching(asked, [*added, *(target for target in changed if kind_of(target).key_space)], removed))


def _targets_of(message: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """The targets that the request names: those added, those of updates, and those removed."""
    if hasattr(message, "edits"):
        parts = {name: [getattr(edit, name) for edit in message.edits if edit.HasField(name)] for name in EDITS}
        created, updated = ([one.assignment.target for one in parts[name]] for name in EDITS[:2])
        return created, updated, [one.target for one in parts["delete"] if one.HasField("target")]
    if hasattr(message, "assignments"):
        return [one.target for one in message.assignments], [], []
    targets = [message.assignment.target] if hasattr(message, "assignment") else []
    return ([], targets, []) if hasattr(message, "update_mask") else (targets, [], [])


def with_targets(asked: Question, added: Sequence[Mapping[str, Any]], removed: Sequence[Mapping[str, Any]]) -> Question:
    """The question with the touched targets (Graph's JSON objects)."""
    return at_once(touching(asked, added, removed))


def touching(
    asked: Question, added: Sequence[Mapping[str, Any]], removed: Sequence[Mapping[str, Any]]
) -> Generator[None, None, Question]:
    """The same in steps, one for each target."""
    kinds: set[str] = set()
    filters: set[tuple[str, str]] = set()
    named: tuple[set[str], set[str]] = set(), set()
    for targets, ids in zip((added, removed), named, strict=True):
        for target in targets:
            own = ids_of(target)
            ids.update(own)
            kinds |= kinds_meant(target, own)
            filters.add(filter_of(target))
            yield
    filters.discard(NO_FILTER)
    return replace(
        asked,
        kinds=frozenset(kinds),
        added_ids=frozenset(named[0]),
        removed_ids=frozenset(named[1]),
        filter_ids=frozenset(filter_id for filter_id, _ in filters),
        filter_types=frozenset(kind for _, kind in filters),
    )
