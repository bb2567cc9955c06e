"""No answer, successful or not, is larger than clients accept by default: excess items are counted instead of sent."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import MERGE, guid
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st
from rest_caller import rest
from rest_mistakes import SET
from rig import Rig, gateway

from gateway.call import CallWarning, Record
from gateway.doors.grpc_door import status_of
from gateway.doors.rest_answers import refusal_of
from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, WINDOWS
from gateway.errors import GatewayError, Reason, Violation
from gateway.odata import dumps
from gateway.operations import OPERATIONS
from gateway.pipeline import validate

LIMIT = 8192  # gRPC's default for all metadata of an answer, each pair with 32 bytes more (HTTP/2)
IDS = 700  # what else is in an answer: request ids, the caller's own included, and gRPC's status
BAD_ROWS = 220


def size(pairs: Iterable[tuple[str, Any]]) -> int:
    """The size of metadata on the wire, with binary values in base64."""
    return sum(len(name) + 32 + (-(-len(value) // 3) * 4 if name.endswith("-bin") else len(value)) for name, value in pairs)


def percent_encoded(text: str) -> str:
    return "".join(chr(byte) if 0x20 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}" for byte in text.encode())


def trailers_of(error: GatewayError) -> list[tuple[str, Any]]:
    status = status_of(error)
    message = percent_encoded(status.message)
    return [("grpc-message", message), ("grpc-status-details-bin", status.SerializeToString()), ("grpc-status", "3")]


async def test_220_bad_rows_are_told_by_the_first_20(live: Emulator):
    request = {
        "deviceCompliancePolicyId": EMPTY,
        "assignments": [{"target": {"group": {"groupId": f"no-guid-{number}"}}} for number in range(BAD_ROWS)],
    }
    async with gateway(live) as rig:
        failure, trailers = await rig.exchange("ReplaceComplianceAssignments", request)
    assert (failure.status, failure.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), failure.message
    assert failure.fields == [f"assignments[{number}].target.group.group_id" for number in range(20)]
    assert failure.metadata["more_violations"] == str(BAD_ROWS - 20)
    assert f"and {BAD_ROWS - 5} more" in failure.message
    assert size([*trailers.items(), ("grpc-message", failure.message)]) < LIMIT
    assert not live.world.requests


async def test_220_bad_rows_over_rest(live: Emulator):
    rows = [
        {"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": f"no-guid-{number}"}}
        for number in range(BAD_ROWS)
    ]
    async with rest(live) as (_, caller):
        reply = await caller.send("POST", SET.removesuffix("assignments") + "assign", {"assignments": rows})
    assert reply.status == 400
    error = reply.json["error"]
    assert [detail["target"] for detail in error["details"]] == [f"assignments[{n}].target.groupId" for n in range(20)]
    assert error["innerError"]["more_violations"] == str(BAD_ROWS - 20)
    assert f"and {BAD_ROWS - 5} more" in error["message"]


async def test_a_good_answer_with_much_to_say_arrives(live: Emulator):
    """Hundreds of foreign rows are added before the gateway's write, show only after it, and are removed by it."""
    live.world.intune.lag = 4.0
    many = [group_row(number) for number in range(300)]
    async with gateway(live, graph={**MERGE["graph"], "read_back_s": 20, "lag_s": 6}) as rig:
        live.world.graph.page_size = 1000
        live.world.intune.set_rows(WINDOWS, [*rig.rows(WINDOWS), *many])
        await asyncio.sleep(2)
        answer, trailers = await exchange(rig, "CreateComplianceAssignment", "warned")
    assert isinstance(answer, Assignment), answer
    [warning] = [value for name, value in trailers if name == "compliance-gateway-warning-bin"]
    info = error_details_pb2.ErrorInfo.FromString(warning)
    assert (info.reason, info.metadata["more"]) == ("FOREIGN_CHANGE_UNDONE", "280")
    assert len(info.metadata["rows"].split(" ")) == 20
    assert size(trailers) < LIMIT


def group_row(number: int) -> dict:
    return {"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(number)}}


async def exchange(rig: Rig, operation: str, request_id: str) -> tuple[Any, list[tuple[str, Any]]]:
    row = OPERATIONS[operation]
    message = row.request(
        device_compliance_policy_id=WINDOWS, assignment={"target": {"all_devices": {}}}, request_id=request_id
    )
    rpc = rig.channel.unary_unary(
        f"/compliance_gateway.v1.ComplianceAssignmentService/{operation}", response_deserializer=row.response.FromString
    )(message.SerializeToString(), metadata=(("authorization", f"Bearer {rig.token}"),), timeout=20)
    try:
        return await rpc, list(await rpc.trailing_metadata())
    except grpc.aio.AioRpcError as error:
        return error, []


def test_warnings_that_do_not_fit_are_left_out():
    record = Record()
    for number in range(50):
        record.warn(CallWarning(f"W{number}", {"rows": "x" * 500}))
    assert 2 <= len(record.warnings) < 50
    record = Record()
    record.warn(CallWarning("W", {"rows": "x" * 100_000}))
    [warning] = record.warnings
    assert 2000 < len(warning.metadata["rows"]) < 3000


class Repeats:
    """A validator whose message repeats the invalid value, as a CEL rule can."""

    def collect_violations(self, message: Any) -> list[Any]:
        element = SimpleNamespace(field_name="device_compliance_policy_id", subscript=None)
        proto = SimpleNamespace(
            field=SimpleNamespace(elements=[element]),
            rule_id="its.own",
            message=f"{message.device_compliance_policy_id} is no id",
        )
        return [SimpleNamespace(proto=proto)]


async def test_a_rule_that_repeats_a_huge_value_is_cut(live: Emulator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(validate, "VALIDATOR", Repeats())
    async with gateway(live) as rig:
        failure, trailers = await rig.exchange("ListComplianceAssignments", {"deviceCompliancePolicyId": "ä" * 300_000})
    assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["device_compliance_policy_id"]), failure.message
    assert "…" in failure.message
    assert size(trailers.items()) < LIMIT


TEXT = st.one_of(
    st.text(st.characters(), max_size=40),
    st.builds(
        lambda letter, times: letter * times,
        st.sampled_from(["a", "ä", "€", "\U0001f600", "\ud800", "%"]),
        st.integers(0, 9000),
    ),
)
ERRORS = st.builds(
    GatewayError,
    reason=st.sampled_from(Reason),
    message=TEXT,
    violations=st.lists(st.builds(Violation, TEXT, TEXT), max_size=60).map(tuple),
    retry_after=st.none() | st.floats(0, 1e6),
    resource=st.none() | st.tuples(TEXT, TEXT),
    metadata=st.dictionaries(st.text("abcdef_", min_size=1, max_size=60), TEXT, max_size=40),
)


@given(ERRORS)
def test_any_error_fits_at_both_doors(error: GatewayError):
    for one in (error, error.copy()):
        assert size(trailers_of(one)) < LIMIT - IDS
        assert len(one.violations) <= 20
        answer = refusal_of(one, None, "id", "")
        assert len(dumps(answer.body).encode()) < LIMIT
        assert sum(len(name) + len(value) for name, value in answer.headers.items()) < 1000


@given(st.lists(st.builds(Violation, TEXT, TEXT), max_size=60).map(tuple))
def test_what_is_left_out_is_counted(violations: tuple[Violation, ...]):
    error = GatewayError(Reason.INVALID_FIELD, violations=violations)
    assert len(error.violations) + error.more == len(violations)
    assert error.copy().more == error.more
    assert bool(error.violations) == bool(violations)
