"""A call as an entry of the ledger: never a body, and of the target only what identifies it."""

import hashlib
import itertools
import uuid
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from gateway.call import Call, correlation_id
from gateway.entry import Entry, claim_of, utc_now
from gateway.errors import GatewayError, Reason
from gateway.odata.targets import BASE, text_of

LONGEST = 512
MOST_TARGETS = 16


def intent(call: Call) -> Entry:
    """The entry for a validated write that is about to be carried out, with a generated request ID if the caller gave none."""
    message: Any = call.message
    request_id = message.request_id or str(uuid.uuid4())
    bare = type(message)()
    bare.CopyFrom(message)
    bare.ClearField("request_id")
    canonical = call.operation.name.encode() + b"\0" + bare.SerializeToString(deterministic=True)
    caller = call.caller.name if call.caller else ""
    return Entry(
        id=call.id,
        correlation_id=correlation_id(call.metadata),
        caller=caller,
        tenant=call.tenant,
        operation=call.operation.name,
        policy=message.device_compliance_policy_id,
        target=target_of(message),
        assignment=getattr(message, "device_compliance_policy_assignment_id", ""),
        request_id=request_id,
        digest=hashlib.sha256(canonical).hexdigest(),
        began_at=utc_now(),
        claim=claim_of(caller, call.tenant, request_id),
        request=message.SerializeToString(),
    )


def refusal(call: Call, error: GatewayError) -> Entry:
    """The entry for a call that was refused before it became a write."""
    message: Any = call.message
    entry = Entry(
        id=call.id,
        correlation_id=correlation_id(call.metadata),
        caller=call.caller.name if call.caller else "",
        tenant=call.tenant,
        operation=call.operation.name,
        policy=_clean(getattr(message, "device_compliance_policy_id", call.policy)),
        target=_first_targets_of(message) if error.reason is Reason.CALLER_NOT_PERMITTED and message is not None else "",
        assignment=_clean(getattr(message, "device_compliance_policy_assignment_id", "")),
        request_id=_clean(getattr(message, "request_id", "")),
        began_at=utc_now(),
    )
    return entry.finished(error.reason.name)


def target_of(message: Message) -> str:
    """The targets in the message, such as `group 0b1c2d3e-…`, without their filters. Empty if an update names only the filter;
    the assignment's ID identifies the target then."""
    targets = [target for target in _targets(message) if target != BASE or not hasattr(message, "update_mask")]
    return ", ".join(map(_clean, targets))


def _first_targets_of(message: Message) -> str:
    """As many as an entry may say of a call that came to nothing."""
    return _clean(", ".join(itertools.islice(map(_clean, _targets(message)), MOST_TARGETS)))


def _targets(message: Message) -> Iterable[str]:
    for field, value in message.ListFields():
        if field.name == "target":
            yield text_of(value)
        elif field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                yield from _targets(inner)


def _clean(text: str) -> str:
    """Text that any database takes and no terminal obeys."""
    text = text[:LONGEST]
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)
