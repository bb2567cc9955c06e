"""A one-line function for each kind of target: `group(id)`, `all_devices(including(filter))`."""

from compliance_gateway.v1 import assignment_pb2 as pb

Target = pb.DeviceAndAppManagementAssignmentTarget
Filter = tuple[str, "pb.DeviceAndAppManagementAssignmentFilterType.ValueType"]


def including(filter_id: str) -> Filter:
    """Narrows a target to what the assignment filter matches."""
    return filter_id, pb.DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_INCLUDE


def excluding(filter_id: str) -> Filter:
    """Narrows a target to what the assignment filter does not match."""
    return filter_id, pb.DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_EXCLUDE


def group(group_id: str, narrowed: Filter | None = None) -> Target:
    """The members of an Entra group."""
    return _narrowed(Target(group=pb.GroupAssignmentTarget(group_id=group_id)), narrowed)


def exclusion(group_id: str) -> Target:
    """Excludes the members of an Entra group."""
    return Target(exclusion_group=pb.ExclusionGroupAssignmentTarget(group_id=group_id))


def all_users(narrowed: Filter | None = None) -> Target:
    """All users with an Intune licence."""
    return _narrowed(Target(all_licensed_users=pb.AllLicensedUsersAssignmentTarget()), narrowed)


def all_devices(narrowed: Filter | None = None) -> Target:
    """All devices."""
    return _narrowed(Target(all_devices=pb.AllDevicesAssignmentTarget()), narrowed)


def collection(collection_id: str, narrowed: Filter | None = None) -> Target:
    """A collection of Configuration Manager."""
    found = pb.ConfigurationManagerCollectionAssignmentTarget(collection_id=collection_id)
    return _narrowed(Target(configuration_manager_collection=found), narrowed)


def assignment(target: Target) -> pb.DeviceCompliancePolicyAssignment:
    """An assignment to the target."""
    return pb.DeviceCompliancePolicyAssignment(target=target)


def _narrowed(target: Target, narrowed: Filter | None) -> Target:
    if narrowed:
        target.device_and_app_management_assignment_filter_id, target.device_and_app_management_assignment_filter_type = (
            narrowed
        )
    return target
