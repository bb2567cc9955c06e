package com.compliance_gateway.client;

import static com.compliance_gateway.client.Targets.assignment;

import com.compliance_gateway.v1.ComplianceAssignmentEdit;
import com.compliance_gateway.v1.DeviceAndAppManagementAssignmentTarget;

/** Edits of a policy's assignments, in a line each, for {@code editComplianceAssignments}. */
public final class Edits {
  private Edits() {}

  /**
   * Adds an assignment.
   *
   * @param target the target
   * @return the edit
   */
  public static ComplianceAssignmentEdit creating(DeviceAndAppManagementAssignmentTarget target) {
    var create = ComplianceAssignmentEdit.Create.newBuilder().setAssignment(assignment(target));
    return ComplianceAssignmentEdit.newBuilder().setCreate(create).build();
  }

  /**
   * Replaces the target or filter of an assignment.
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
   * Deletes the assignment with this ID.
   *
   * @param id of the assignment
   * @return the edit
   */
  public static ComplianceAssignmentEdit deleting(String id) {
    return ComplianceAssignmentEdit.newBuilder().setDelete(ComplianceAssignmentEdit.Delete.newBuilder().setId(id)).build();
  }

  /**
   * Deletes the assignment to this target.
   *
   * @param target whatever its filter
   * @return the edit
   */
  public static ComplianceAssignmentEdit deleting(DeviceAndAppManagementAssignmentTarget target) {
    var delete = ComplianceAssignmentEdit.Delete.newBuilder().setTarget(target);
    return ComplianceAssignmentEdit.newBuilder().setDelete(delete).build();
  }
}
