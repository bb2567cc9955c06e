package compliancegateway

import v1 "github.com/compliance-gateway/compliance-gateway/clients/go/v1"

// Target is the users or devices that a policy is assigned to.
type Target = v1.DeviceAndAppManagementAssignmentTarget

// Filter narrows a target by an assignment filter.
type Filter func(*Target)

// Including narrows a target to what the filter matches. filter: its ID.
func Including(filter string) Filter {
	return filtering(filter, v1.DeviceAndAppManagementAssignmentFilterType_DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_INCLUDE)
}

// Excluding narrows a target to what the filter does not match. filter: its ID.
func Excluding(filter string) Filter {
	return filtering(filter, v1.DeviceAndAppManagementAssignmentFilterType_DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_EXCLUDE)
}

// Group targets the members of an Entra group.
func Group(id string, filters ...Filter) *Target {
	return target(&Target{Type: &v1.DeviceAndAppManagementAssignmentTarget_Group{Group: &v1.GroupAssignmentTarget{GroupId: id}}}, filters)
}

// Exclusion excludes the members of an Entra group.
func Exclusion(id string) *Target {
	group := &v1.ExclusionGroupAssignmentTarget{GroupId: id}
	return &Target{Type: &v1.DeviceAndAppManagementAssignmentTarget_ExclusionGroup{ExclusionGroup: group}}
}

// AllUsers targets all users with an Intune licence.
func AllUsers(filters ...Filter) *Target {
	users := &v1.AllLicensedUsersAssignmentTarget{}
	return target(&Target{Type: &v1.DeviceAndAppManagementAssignmentTarget_AllLicensedUsers{AllLicensedUsers: users}}, filters)
}

// AllDevices targets all devices.
func AllDevices(filters ...Filter) *Target {
	devices := &v1.AllDevicesAssignmentTarget{}
	return target(&Target{Type: &v1.DeviceAndAppManagementAssignmentTarget_AllDevices{AllDevices: devices}}, filters)
}

// Collection targets a collection of Configuration Manager.
func Collection(id string, filters ...Filter) *Target {
	collection := &v1.ConfigurationManagerCollectionAssignmentTarget{CollectionId: id}
	return target(&Target{Type: &v1.DeviceAndAppManagementAssignmentTarget_ConfigurationManagerCollection{ConfigurationManagerCollection: collection}}, filters)
}

// Assignment returns an assignment to a target.
func Assignment(target *Target) *v1.DeviceCompliancePolicyAssignment {
	return &v1.DeviceCompliancePolicyAssignment{Target: target}
}

func filtering(filter string, kind v1.DeviceAndAppManagementAssignmentFilterType) Filter {
	return func(target *Target) {
		target.DeviceAndAppManagementAssignmentFilterId = filter
		target.DeviceAndAppManagementAssignmentFilterType = kind
	}
}

func target(target *Target, filters []Filter) *Target {
	for _, filter := range filters {
		filter(target)
	}
	return target
}
