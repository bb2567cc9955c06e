"""The tests of a team that uses the client, with its test double."""

import json
from pathlib import Path

import compliance_gateway as client
import pytest
from compliance_gateway import GatewayError, connect, creating, deleting, group
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb

pytest_plugins = ["compliance_gateway.testing"]
GROUP = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"


def test_a_preview_an_edit_and_the_way_back(shared_compliance_gateway):
    double, heard = shared_compliance_gateway, []
    policy = double.new_policy()
    rows = lambda: double.state()["policies"][policy]["assignments"]  # noqa: E731
    with connect(double.address, lambda: double.token, plain_text=True, on_answer=heard.append) as gateway:
        edit = pb.EditComplianceAssignmentsRequest(device_compliance_policy_id=policy, edits=[creating(group(GROUP))])
        edit.validate_only = True
        preview = gateway.EditComplianceAssignments(edit)
        assert (len(preview.assignments_after), preview.cost.writes, rows()) == (1, 1, [])

        edit.validate_only, edit.etag = False, preview.etag
        done = gateway.EditComplianceAssignments(edit)
        assert (len(rows()), heard[-1].etag, heard[-1].rate_limit.name) == (1, done.etag, "writes")
        with pytest.raises(GatewayError) as refused:
            gateway.EditComplianceAssignments(edit)
        assert (refused.value.reason, bool(refused.value.request_id)) == ("SET_CHANGED_SINCE", True)

        listed = gateway.ListComplianceAssignmentRevisions(
            pb.ListComplianceAssignmentRevisionsRequest(device_compliance_policy_id=policy)
        )
        assert [revision.number for revision in listed.revisions] == [done.revision]
        gateway.RestoreComplianceAssignments(
            pb.RestoreComplianceAssignmentsRequest(device_compliance_policy_id=policy, revision=done.revision)
        )
        assert rows() == []


def test_the_checks_are_the_gateways(shared_compliance_gateway):
    double = shared_compliance_gateway
    with connect(double.address, double.token, plain_text=True) as gateway:
        wrong = [creating(group("no id")), deleting("nothing")]
        with pytest.raises(GatewayError) as refused:
            gateway.EditComplianceAssignments(
                pb.EditComplianceAssignmentsRequest(device_compliance_policy_id=double.new_policy(), edits=wrong)
            )
    assert refused.value.fields == ("edits[0].create.assignment.target.group.group_id",)


def test_it_is_the_package_that_was_packed():
    top = Path(client.__file__).parents[1]
    assert {path.name for path in top.iterdir() if path.suffix != ".dist-info"} == {"compliance_gateway"}, "no top-level `buf`"
    assert list(top.glob("*.dist-info/licenses/LICENSE"))
    assert json.dumps(client.__all__)
