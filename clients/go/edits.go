package compliancegateway

import v1 "github.com/compliance-gateway/compliance-gateway/clients/go/v1"

// Edit is one of the edits of EditComplianceAssignments.
type Edit = v1.ComplianceAssignmentEdit

// Creating is one more assignment.
func Creating(target *Target) *Edit {
	return &Edit{Edit: &v1.ComplianceAssignmentEdit_Create_{Create: &v1.ComplianceAssignmentEdit_Create{Assignment: Assignment(target)}}}
}

// Updating is another target or filter for an assignment.
func Updating(id string, target *Target) *Edit {
	update := &v1.ComplianceAssignmentEdit_Update{Id: id, Assignment: Assignment(target)}
	return &Edit{Edit: &v1.ComplianceAssignmentEdit_Update_{Update: update}}
}

// Deleting is no longer the assignment with this id.
func Deleting(id string) *Edit {
	return deleting(&v1.ComplianceAssignmentEdit_Delete{Assignment: &v1.ComplianceAssignmentEdit_Delete_Id{Id: id}})
}

// DeletingTarget is no longer the assignment to this target.
func DeletingTarget(target *Target) *Edit {
	return deleting(&v1.ComplianceAssignmentEdit_Delete{Assignment: &v1.ComplianceAssignmentEdit_Delete_Target{Target: target}})
}

func deleting(edit *v1.ComplianceAssignmentEdit_Delete) *Edit {
	return &Edit{Edit: &v1.ComplianceAssignmentEdit_Delete_{Delete: edit}}
}
