use crate::v1::{self, device_and_app_management_assignment_target::Type, DeviceAndAppManagementAssignmentFilterType as FilterType};

/// Whom a policy is assigned to.
pub type Target = v1::DeviceAndAppManagementAssignmentTarget;

fn target(kind: Type) -> Target {
    Target { r#type: Some(kind), ..Target::default() }
}

/// The members of an Entra group.
pub fn group(id: impl Into<String>) -> Target {
    target(Type::Group(v1::GroupAssignmentTarget { group_id: id.into() }))
}

/// Everyone but the members of an Entra group.
pub fn exclusion(id: impl Into<String>) -> Target {
    target(Type::ExclusionGroup(v1::ExclusionGroupAssignmentTarget { group_id: id.into() }))
}

/// All users with an Intune licence.
pub fn all_users() -> Target {
    target(Type::AllLicensedUsers(v1::AllLicensedUsersAssignmentTarget {}))
}

/// All devices.
pub fn all_devices() -> Target {
    target(Type::AllDevices(v1::AllDevicesAssignmentTarget {}))
}

/// A collection of Configuration Manager.
pub fn collection(id: impl Into<String>) -> Target {
    target(Type::ConfigurationManagerCollection(v1::ConfigurationManagerCollectionAssignmentTarget { collection_id: id.into() }))
}

/// The target, of which only what the assignment filter matches.
pub fn including(filter: impl Into<String>, target: Target) -> Target {
    filtered(filter.into(), FilterType::Include, target)
}

/// The target, but for what the assignment filter matches.
pub fn excluding(filter: impl Into<String>, target: Target) -> Target {
    filtered(filter.into(), FilterType::Exclude, target)
}

/// An assignment to the target.
pub fn assignment(target: Target) -> Option<v1::DeviceCompliancePolicyAssignment> {
    Some(v1::DeviceCompliancePolicyAssignment { target: Some(target), ..Default::default() })
}

fn filtered(id: String, kind: FilterType, target: Target) -> Target {
    Target {
        device_and_app_management_assignment_filter_id: id,
        device_and_app_management_assignment_filter_type: kind.into(),
        ..target
    }
}
