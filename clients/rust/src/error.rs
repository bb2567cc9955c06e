use std::{fmt, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The error of a call that was not carried out.
#[derive(Debug, Clone)]
pub struct Error {
    /// gRPC's status code.
    pub code: Code,
    /// Stable, such as ALREADY_ASSIGNED; empty if the gateway was not reached.
    pub reason: String,
    /// The gateway's message.
    pub message: String,
    /// Time until a retry makes sense; None if none does.
    pub retry_after: Option<Duration>,
    /// Whether Graph's quota is reserved for the same request with the same ID, until a second after `retry_after`.
    pub reserved: bool,
    /// Of the write; send it with the same request to retry, or to find out the outcome.
    pub request_id: String,
    /// Of Microsoft Graph, if it answered.
    pub graph_request_id: String,
    /// The request's fields that break a rule.
    pub fields: Vec<String>,
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let broken = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        Error {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            reserved: info.and_then(|info| info.metadata.get("reserved")).is_some_and(|value| value == "true"),
            request_id: String::new(),
            graph_request_id: info.and_then(|info| info.metadata.get("graph_request_id").cloned()).unwrap_or_default(),
            fields: broken.into_iter().map(|violation| violation.field).collect(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.code, self.reason, self.message)
    }
}

impl std::error::Error for Error {}
