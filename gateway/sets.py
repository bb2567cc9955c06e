"""A set: a kind of Intune object whose assignments one action replaces as a whole (docs/graph.md §9). All that the gateway
knows of it is one value; whoever needs it takes it from the operation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AssignableSet:
    """name: the path's last segment. path: of the collection in Graph, always beta: v1.0 hides filters and source, and a merge
    through it would drop them (docs/graph.md §2). action, parameter: what replaces the rows, and what it calls them. row_type:
    the `@odata.type` of a row. compared: the row's properties that count beside its target. permission: what a write needs.
    service: whose throttling window its requests are counted in (docs/graph.md §4)."""

    name: str
    path: str
    action: str
    parameter: str
    policy_type: str
    row_type: str
    permission: str
    service: str
    compared: tuple[str, ...] = ()


COMPLIANCE = AssignableSet(
    name="deviceCompliancePolicies",
    path="/beta/deviceManagement/deviceCompliancePolicies",
    action="assign",
    parameter="assignments",
    policy_type="deviceCompliancePolicy",
    row_type="#microsoft.graph.deviceCompliancePolicyAssignment",
    permission="DeviceManagementConfiguration.ReadWrite.All",
    service="configuration",
)
SETS = {one.name: one for one in (COMPLIANCE,)}
