//! Creates, lists, updates and deletes an assignment, and handles the usual errors.
//! Environment: GATEWAY_ADDRESS, GATEWAY_TOKEN_FILE, GATEWAY_CA. Arguments: a policy, another policy, a group, a filter.

use std::env::{args, var};

use compliance_gateway_client::{all_devices, assignment, connect, group, including, token_file, v1, Client, Error, Options, Target};

async fn create(gateway: &Client, policy: &str, target: Target) -> Result<(), Error> {
    let request = v1::CreateComplianceAssignmentRequest {
        device_compliance_policy_id: policy.into(),
        assignment: assignment(target),
        ..Default::default()
    };
    match gateway.create_compliance_assignment(request).await {
        Ok(created) => println!("created {}", created.id),
        Err(error) if error.reason == "ALREADY_ASSIGNED" => println!("already assigned"),
        Err(error) if error.reason == "CALLER_NOT_PERMITTED" => println!("not allowed"),
        Err(Error { retry_after: Some(wait), .. }) => println!("try again in {:.0} s", wait.as_secs_f64()),
        Err(error) => return Err(error),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [policy, other, group_id, filter] = args().skip(1).collect::<Vec<_>>().try_into().expect("four arguments");
    let token = Some(token_file(var("GATEWAY_TOKEN_FILE")?));
    let ca = Some(std::fs::read(var("GATEWAY_CA")?)?);
    let gateway = connect(&var("GATEWAY_ADDRESS")?, Options { token, ca, ..Default::default() })?;

    create(&gateway, &policy, group(&group_id)).await?;
    create(&gateway, &policy, group(&group_id)).await?;
    let request = v1::ListComplianceAssignmentsRequest { device_compliance_policy_id: policy.clone(), ..Default::default() };
    println!("listed {}", gateway.list_compliance_assignments(request).await?.assignments.len());
    let id = format!("{policy}_{group_id}");
    let request = v1::UpdateComplianceAssignmentRequest {
        device_compliance_policy_id: policy.clone(),
        device_compliance_policy_assignment_id: id.clone(),
        assignment: assignment(including(&filter, group(&group_id))),
        ..Default::default()
    };
    let updated = gateway.update_compliance_assignment(request).await?.target.unwrap_or_default();
    println!("updated, filter {}", updated.device_and_app_management_assignment_filter_id);
    let request = v1::DeleteComplianceAssignmentRequest {
        device_compliance_policy_id: policy.clone(),
        device_compliance_policy_assignment_id: id,
        ..Default::default()
    };
    gateway.delete_compliance_assignment(request).await?;
    println!("deleted");
    create(&gateway, &policy, all_devices()).await?;
    create(&gateway, &other, group(&group_id)).await?;
    Ok(())
}
