//! Carries out what tests/clients asks for, a JSON object a line, through the helper. See tests/clients/driver.py.

use std::{
    env::var,
    io::stdin,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{prelude::BASE64_STANDARD, Engine};
use compliance_gateway_client::{
    all_devices, all_users, collection, connect, excluding, exclusion, group, including, token_file, Answer, Client, Error, Options,
};
use prost::Message;
use serde_json::{json, Value};

fn response(message: impl Message) -> Value {
    json!({"response": BASE64_STANDARD.encode(message.encode_to_vec())})
}

fn answer(result: Result<impl Message, Error>) -> Value {
    match result {
        Ok(message) => response(message),
        Err(error) => json!({"error": {
            "code": error.code as i32, "reason": error.reason, "message": error.message, "fields": error.fields,
            "retry_after_ms": error.retry_after.map_or(0, |wait| wait.as_millis() as u64),
            "graph_request_id": error.graph_request_id, "reserved": error.reserved, "request_id": error.request_id,
        }}),
    }
}

fn target(ask: &Value) -> Value {
    let id = ask["id"].as_str().unwrap();
    let target = match ask["target"].as_str().unwrap() {
        "group" => group(id),
        "exclusion" => return response(exclusion(id)),
        "all_users" => all_users(),
        "all_devices" => all_devices(),
        _ => collection(id),
    };
    response(match (ask["filter"].as_str().unwrap(), ask["include"].as_bool().unwrap()) {
        ("", _) => target,
        (filter, true) => including(filter, target),
        (filter, false) => excluding(filter, target),
    })
}

async fn call(client: &Client, ask: &Value) -> Value {
    let request = BASE64_STANDARD.decode(ask["request"].as_str().unwrap()).unwrap();
    let client = match ask["timeout_ms"].as_u64().unwrap() {
        0 => client.clone(),
        timeout => client.within(Duration::from_millis(timeout)),
    };
    macro_rules! carry_out {
        ($method:ident) => {
            answer(client.$method(Message::decode(&request[..]).unwrap()).await)
        };
    }
    match ask["method"].as_str().unwrap() {
        "CreateComplianceAssignment" => carry_out!(create_compliance_assignment),
        "GetComplianceAssignment" => carry_out!(get_compliance_assignment),
        "ListComplianceAssignments" => carry_out!(list_compliance_assignments),
        "UpdateComplianceAssignment" => carry_out!(update_compliance_assignment),
        "DeleteComplianceAssignment" => carry_out!(delete_compliance_assignment),
        "EditComplianceAssignments" => carry_out!(edit_compliance_assignments),
        "ListComplianceAssignmentRevisions" => carry_out!(list_compliance_assignment_revisions),
        "GetComplianceAssignmentRevision" => carry_out!(get_compliance_assignment_revision),
        "RestoreComplianceAssignments" => carry_out!(restore_compliance_assignments),
        "GetCompliancePolicy" => carry_out!(get_compliance_policy),
        "ListCompliancePolicies" => carry_out!(list_compliance_policies),
        "GetQuota" => carry_out!(get_quota),
        _ => carry_out!(replace_compliance_assignments),
    }
}

fn besides(said: &Answer) -> Value {
    let limit = said.rate_limit.as_ref().map(|limit| {
        json!({"name": limit.name, "remaining": limit.remaining, "reset": limit.reset, "quota": limit.quota, "window": limit.window})
    });
    let method: String = said.method.split('_').filter(|word| !word.is_empty()).map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    json!({"method": method, "request_id": said.request_id, "etag": said.etag, "warning": said.warning, "rate_limit": limit})
}

fn seconds(name: &str, otherwise: u64) -> Duration {
    Duration::from_secs(var(name).map_or(otherwise, |text| text.parse().unwrap()))
}

#[tokio::main]
async fn main() {
    let heard = Arc::new(Mutex::new(Answer::default()));
    let listening = heard.clone();
    let identity = var("GATEWAY_CERTIFICATE").ok().map(|path| std::fs::read(path).unwrap());
    let options = Options {
        token: var("GATEWAY_TOKEN_FILE").ok().map(token_file),
        tenant: var("GATEWAY_TENANT").ok(),
        plain_text: var("GATEWAY_CA").is_err(),
        ca: var("GATEWAY_CA").ok().map(|path| std::fs::read(path).unwrap()),
        timeout: Some(seconds("GATEWAY_TIMEOUT", 30)),
        patience: seconds("GATEWAY_PATIENCE", 0),
        on_answer: Some(Arc::new(move |answer| *listening.lock().unwrap() = answer)),
        identity: identity.map(|pem| (pem.clone(), pem)),
        ..Default::default()
    };
    let client = connect(&var("GATEWAY_ADDRESS").unwrap(), options).unwrap();
    for line in stdin().lines() {
        let ask: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if ask["target"] != "" {
            println!("{}", target(&ask));
            continue;
        }
        let mut answer = call(&client, &ask).await;
        answer["answer"] = besides(&heard.lock().unwrap());
        println!("{answer}");
    }
}
