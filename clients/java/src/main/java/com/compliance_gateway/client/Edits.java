package com.compliance_gateway.client;

import static com.compliance_gateway.client.Targets.assignment;

import com.compliance_gateway.v1.ComplianceAssignmentEdit;
import com.compliance_gateway.v1.DeviceAndAppManagementAssignmentTarget;

/** Edits of a policy's assignments, in a line each, for {@code editComplianceAssignments}. */
public final class Edits {
  private Edits() {}

  /**
   * One more assignment.
   *
   * @param target whom the policy shall be given to
   * @return the edit
   */
  public static ComplianceAssignmentEdit creating(DeviceAndAppManagementAssignmentTarget target) {
    var create = ComplianceAssignmentEdit.Create.newBuilder().setAssignment(assignment(target));
    return ComplianceAssignmentEdit.newBuilder().setCreate(create).build();
  }

  /**
   * Another target or filter for an assignment.
   *
   * @param id of the assignment
   * @param target the new one
   * @return the edit
   */
  public static ComplianceAssignmentEdit updating(String id, DeviceAndAppManagementAssignmentTarget target) {
    var update = ComplianceAssignmentEdit.Update.newBuilder().setId(id).setAssignment(assignment(target));
    return ComplianceAssignmentEdit.newBuilder().setUpdate(update).build();
  }

  /**
   * No longer the assignment with this id.
   *
   * @param id of the assignment
   * @return the edit
   */
  public static ComplianceAssignmentEdit deleting(String id) {
    return ComplianceAssignmentEdit.newBuilder().setDelete(ComplianceAssignmentEdit.Delete.newBuilder().setId(id)).build();
  }

  /**
   * No longer the assignment to this target.
   *
   * @param target whatever its filter
   * @return the edit
   */
  public static ComplianceAssignmentEdit deleting(DeviceAndAppManagementAssignmentTarget target) {
    var delete = ComplianceAssignmentEdit.Delete.newBuilder().setTarget(target);
    return ComplianceAssignmentEdit.newBuilder().setDelete(delete).build();
  }
}
