use crate::v1::compliance_assignment_edit::{delete, Create, Delete, Edit as Kind, Update};
use crate::{assignment, v1, Target};

/// One of the edits of [`crate::Client::edit_compliance_assignments`].
pub type Edit = v1::ComplianceAssignmentEdit;

/// One more assignment.
pub fn creating(target: Target) -> Edit {
    Edit { edit: Some(Kind::Create(Create { assignment: assignment(target), ..Default::default() })) }
}

/// Another target or filter for an assignment.
pub fn updating(id: impl Into<String>, target: Target) -> Edit {
    Edit { edit: Some(Kind::Update(Update { id: id.into(), assignment: assignment(target), ..Default::default() })) }
}

/// No longer the assignment with this id.
pub fn deleting(id: impl Into<String>) -> Edit {
    without(delete::Assignment::Id(id.into()))
}

/// No longer the assignment to this target.
pub fn deleting_target(target: Target) -> Edit {
    without(delete::Assignment::Target(target))
}

fn without(which: delete::Assignment) -> Edit {
    Edit { edit: Some(Kind::Delete(Delete { assignment: Some(which), ..Default::default() })) }
}
