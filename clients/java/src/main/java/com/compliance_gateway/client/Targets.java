package com.compliance_gateway.client;

import com.compliance_gateway.v1.AllDevicesAssignmentTarget;
import com.compliance_gateway.v1.AllLicensedUsersAssignmentTarget;
import com.compliance_gateway.v1.ConfigurationManagerCollectionAssignmentTarget;
import com.compliance_gateway.v1.DeviceAndAppManagementAssignmentFilterType;
import com.compliance_gateway.v1.DeviceAndAppManagementAssignmentTarget;
import com.compliance_gateway.v1.DeviceCompliancePolicyAssignment;
import com.compliance_gateway.v1.ExclusionGroupAssignmentTarget;
import com.compliance_gateway.v1.GroupAssignmentTarget;

/** The targets that a policy can be assigned to, a line each: {@code group(id)}, {@code including(filter, allDevices())}. */
public final class Targets {
  private Targets() {}

  /**
   * The members of an Entra group.
   *
   * @param id its id
   * @return the target
   */
  public static DeviceAndAppManagementAssignmentTarget group(String id) {
    return target().setGroup(GroupAssignmentTarget.newBuilder().setGroupId(id)).build();
  }

  /**
   * Excludes the members of an Entra group.
   *
   * @param id its id
   * @return the target
   */
  public static DeviceAndAppManagementAssignmentTarget exclusion(String id) {
    return target().setExclusionGroup(ExclusionGroupAssignmentTarget.newBuilder().setGroupId(id)).build();
  }

  /**
   * All users with an Intune licence.
   *
   * @return the target
   */
  public static DeviceAndAppManagementAssignmentTarget allUsers() {
    return target().setAllLicensedUsers(AllLicensedUsersAssignmentTarget.getDefaultInstance()).build();
  }

  /**
   * All devices.
   *
   * @return the target
   */
  public static DeviceAndAppManagementAssignmentTarget allDevices() {
    return target().setAllDevices(AllDevicesAssignmentTarget.getDefaultInstance()).build();
  }

  /**
   * A collection of Configuration Manager.
   *
   * @param id its id
   * @return the target
   */
  public static DeviceAndAppManagementAssignmentTarget collection(String id) {
    var collection = ConfigurationManagerCollectionAssignmentTarget.newBuilder().setCollectionId(id);
    return target().setConfigurationManagerCollection(collection).build();
  }

  /**
   * Narrows the target to what the assignment filter matches.
   *
   * @param filter the id of the assignment filter
   * @param target the target
   * @return the target
   */
  public static DeviceAndAppManagementAssignmentTarget including(String filter, DeviceAndAppManagementAssignmentTarget target) {
    return filtered(filter, target, DeviceAndAppManagementAssignmentFilterType.DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_INCLUDE);
  }

  /**
   * Narrows the target to what the assignment filter does not match.
   *
   * @param filter the id of the assignment filter
   * @param target the target
   * @return the target
   */
  public static DeviceAndAppManagementAssignmentTarget excluding(String filter, DeviceAndAppManagementAssignmentTarget target) {
    return filtered(filter, target, DeviceAndAppManagementAssignmentFilterType.DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_EXCLUDE);
  }

  /**
   * An assignment to the target.
   *
   * @param target the target
   * @return the assignment
   */
  public static DeviceCompliancePolicyAssignment assignment(DeviceAndAppManagementAssignmentTarget target) {
    return DeviceCompliancePolicyAssignment.newBuilder().setTarget(target).build();
  }

  private static DeviceAndAppManagementAssignmentTarget.Builder target() {
    return DeviceAndAppManagementAssignmentTarget.newBuilder();
  }

  private static DeviceAndAppManagementAssignmentTarget filtered(
      String filter, DeviceAndAppManagementAssignmentTarget target, DeviceAndAppManagementAssignmentFilterType kind) {
    return target.toBuilder()
        .setDeviceAndAppManagementAssignmentFilterId(filter)
        .setDeviceAndAppManagementAssignmentFilterType(kind)
        .build();
  }
}
