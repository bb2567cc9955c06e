use crate::v1::compliance_assignment_edit::{delete, Create, Delete, Edit as Kind, Update};
use crate::{assignment, v1, Target};

/// One edit for [`crate::Client::edit_compliance_assignments`].
pub type Edit = v1::ComplianceAssignmentEdit;

/// Adds an assignment.
pub fn creating(target: Target) -> Edit {
    Edit { edit: Some(Kind::Create(Create { assignment: assignment(target), ..Default::default() })) }
}

/// Replaces the target or filter of an assignment.
pub fn updating(id: impl Into<String>, target: Target) -> Edit {
    Edit { edit: Some(Kind::Update(Update { id: id.into(), assignment: assignment(target), ..Default::default() })) }
}

/// Deletes the assignment with this ID.
pub fn deleting(id: impl Into<String>) -> Edit {
    without(delete::Assignment::Id(id.into()))
}

/// Deletes the assignment to this target.
pub fn deleting_target(target: Target) -> Edit {
    without(delete::Assignment::Target(target))
}

fn without(which: delete::Assignment) -> Edit {
    Edit { edit: Some(Kind::Delete(Delete { assignment: Some(which), ..Default::default() })) }
}
