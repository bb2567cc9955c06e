//! The test of a team that uses the client, with its test double.

use std::sync::{Arc, Mutex};

use compliance_gateway_client::testing::RunningGateway;
use compliance_gateway_client::v1::restore_compliance_assignments_request::Source;
use compliance_gateway_client::{connect, creating, deleting, group, token_from, v1, Options};

const GROUP: &str = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f";

#[tokio::test]
async fn a_preview_an_edit_and_the_way_back() -> Result<(), Box<dyn std::error::Error>> {
    let double = RunningGateway::start()?;
    let (policy, token, heard) = (double.new_policy()?, double.token.clone(), Arc::new(Mutex::new(vec![])));
    let listening = heard.clone();
    let options = Options {
        token: Some(token_from(move || std::future::ready(Ok(token.clone())))),
        on_answer: Some(Arc::new(move |answer| listening.lock().unwrap().push(answer))),
        plain_text: true,
        ..Default::default()
    };
    let gateway = connect(&double.address, options)?;

    let edits = vec![creating(group(GROUP))];
    let edit = v1::EditComplianceAssignmentsRequest { device_compliance_policy_id: policy.clone(), edits, ..Default::default() };
    let preview = v1::EditComplianceAssignmentsRequest { validate_only: true, ..edit.clone() };
    let preview = gateway.edit_compliance_assignments(preview).await?;
    assert_eq!((preview.assignments_after.len(), preview.cost.unwrap_or_default().writes), (1, 1));
    assert!(double.assignments(&policy)?.is_empty());

    let edit = v1::EditComplianceAssignmentsRequest { etag: preview.etag, ..edit };
    let done = gateway.edit_compliance_assignments(edit.clone()).await?;
    let said = heard.lock().unwrap().last().cloned().unwrap();
    assert_eq!((double.assignments(&policy)?.len(), said.etag, said.rate_limit.unwrap().name.as_str()), (1, done.etag, "writes"));
    let refused = gateway.edit_compliance_assignments(edit.clone()).await.unwrap_err();
    assert_eq!((refused.reason.as_str(), refused.request_id.is_empty()), ("SET_CHANGED_SINCE", false));

    let of_it = v1::ListComplianceAssignmentRevisionsRequest { device_compliance_policy_id: policy.clone(), ..Default::default() };
    let revisions = gateway.list_compliance_assignment_revisions(of_it).await?.revisions;
    assert_eq!(revisions.iter().map(|revision| revision.number).collect::<Vec<_>>(), [done.revision]);
    let source = Some(Source::Revision(done.revision));
    let restore = v1::RestoreComplianceAssignmentsRequest { device_compliance_policy_id: policy.clone(), source, ..Default::default() };
    gateway.restore_compliance_assignments(restore).await?;
    assert!(double.assignments(&policy)?.is_empty());

    let edits = vec![creating(group("no id")), deleting("nothing")];
    let wrong = v1::EditComplianceAssignmentsRequest { etag: String::new(), edits, ..edit };
    let refused = gateway.edit_compliance_assignments(wrong).await.unwrap_err();
    assert_eq!(refused.fields, ["edits[0].create.assignment.target.group.group_id"]);
    Ok(())
}

#[tokio::test]
async fn a_token_that_never_comes() -> Result<(), Box<dyn std::error::Error>> {
    let token = Some(token_from(|| std::future::pending()));
    let timeout = Some(std::time::Duration::from_millis(50));
    let gateway = connect("127.0.0.1:1", Options { token, timeout, plain_text: true, ..Default::default() })?;
    let refused = gateway.get_quota(v1::GetQuotaRequest {}).await.unwrap_err();
    assert_eq!(refused.code as i32, 4);
    Ok(())
}
