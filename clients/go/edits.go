package compliancegateway

import v1 "github.com/compliance-gateway/compliance-gateway/clients/go/v1"

// Edit is one edit of an EditComplianceAssignments request.
type Edit = v1.ComplianceAssignmentEdit

// Creating returns an edit that adds an assignment.
func Creating(target *Target) *Edit {
	return &Edit{Edit: &v1.ComplianceAssignmentEdit_Create_{Create: &v1.ComplianceAssignmentEdit_Create{Assignment: Assignment(target)}}}
}

// Updating returns an edit that replaces the target or filter of an assignment.
func Updating(id string, target *Target) *Edit {
	update := &v1.ComplianceAssignmentEdit_Update{Id: id, Assignment: Assignment(target)}
	return &Edit{Edit: &v1.ComplianceAssignmentEdit_Update_{Update: update}}
}

// Deleting returns an edit that deletes the assignment with this ID.
func Deleting(id string) *Edit {
	return deleting(&v1.ComplianceAssignmentEdit_Delete{Assignment: &v1.ComplianceAssignmentEdit_Delete_Id{Id: id}})
}

// DeletingTarget returns an edit that deletes the assignment to this target.
func DeletingTarget(target *Target) *Edit {
	return deleting(&v1.ComplianceAssignmentEdit_Delete{Assignment: &v1.ComplianceAssignmentEdit_Delete_Target{Target: target}})
}

func deleting(edit *v1.ComplianceAssignmentEdit_Delete) *Edit {
	return &Edit{Edit: &v1.ComplianceAssignmentEdit_Delete_{Delete: edit}}
}
