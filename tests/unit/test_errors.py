"""The table of errors, and its way onto the wire."""

import inspect

import grpc
import pytest
from google.rpc import error_details_pb2

from gateway import errors
from gateway.doors.grpc_door import status_of
from gateway.errors import GatewayError, Kind, Reason, Violation
from gateway.graph.graph_errors import graph_error_of

# docs/design.md §3
DESIGN = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "CANCELLED": 499,
    "UNKNOWN": 502,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
}


def test_every_kind_has_its_statuses():
    assert {kind.name: kind.http for kind in Kind} == DESIGN
    assert all(getattr(grpc.StatusCode, kind.name).value[0] == kind.grpc for kind in Kind)


def test_every_reason_has_a_kind_and_a_sentence():
    assert len({reason.value for reason in Reason}) == len(list(Reason))
    assert all(reason.meaning.endswith(".") and isinstance(reason.kind, Kind) for reason in Reason)


@pytest.mark.parametrize("member", ["    ABORTED = (code_pb2.ABORTED, 409)", "    GRAPH_CONFLICT = (Kind.ABORTED, "])
def test_two_with_equal_values_are_not_taken(member: str):
    """They would be one, under two names."""
    source = inspect.getsource(errors)
    line = next(line for line in source.split("\n") if line.startswith(member))
    twins = source.replace(line, f"{line}\n    TWIN_{line.strip()}")
    with pytest.raises(ValueError, match="TWIN_"):
        exec(compile(twins, "twins", "exec"), {"__name__": "gateway.errors"})


def test_details_on_the_wire():
    error = GatewayError(
        Reason.GRAPH_THROTTLED,
        violations=(Violation("a.b", "is required"),),
        retry_after=2.128,
        resource=("deviceCompliancePolicy", "p"),
        metadata={"graph_status": "429"},
    )
    status = status_of(error)
    info, retry, bad, resource = (
        kind.FromString(packed.value)
        for kind, packed in zip(
            (
                error_details_pb2.ErrorInfo,
                error_details_pb2.RetryInfo,
                error_details_pb2.BadRequest,
                error_details_pb2.ResourceInfo,
            ),
            status.details,
            strict=True,
        )
    )
    assert (info.reason, info.domain, dict(info.metadata)) == ("GRAPH_THROTTLED", "compliance-gateway", {"graph_status": "429"})
    assert retry.retry_delay.ToMilliseconds() == 2128
    assert (bad.field_violations[0].field, bad.field_violations[0].description) == ("a.b", "is required")
    assert (resource.resource_type, resource.resource_name) == ("deviceCompliancePolicy", "p")


@pytest.mark.parametrize("status", range(300, 600))
@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":{"message":{"message":{"message":1}}}}', b"\xff\x00"])
def test_any_status_and_any_body_is_some_error(status: int, body: bytes):
    error = graph_error_of(status, {}, body)
    assert error.metadata["graph_status"] == str(status)
    assert error.message


def test_an_approval_is_known_by_its_header_whatever_the_status():
    for status in (400, 403, 412):
        assert graph_error_of(status, {"x-msft-approval-code": "c"}, b"").reason is Reason.GRAPH_APPROVAL_REQUIRED
