//! Assigns Intune compliance policies through compliance-gateway: [`connect`], targets such as [`group`], and the messages in [`v1`].

mod answer;
mod edits;
mod error;
mod targets;
#[cfg(feature = "testing")]
pub mod testing;

use std::{fmt::Display, future::Future, io, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout_at, Instant};
use tonic::metadata::{errors::InvalidMetadataValue, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Response, Status};

pub use answer::{Answer, RateLimit};
pub use edits::{creating, deleting, deleting_target, updating, Edit};
pub use error::Error;
pub use targets::{all_devices, all_users, assignment, collection, excluding, exclusion, group, including, Target};

/// The generated messages and the bare client.
#[allow(clippy::all, rustdoc::all)]
pub mod v1 {
    tonic::include_proto!("compliance_gateway.v1");
}
use v1::compliance_assignment_service_client::ComplianceAssignmentServiceClient;
use v1::compliance_policy_service_client::CompliancePolicyServiceClient;

// As the service config of the other languages' gRPC has it; tonic has none, so the helper tries again itself.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Gives the caller's token, asked before each call: [`token_file`], or [`token_from`] anything else. A call for which there is
/// none, or none that a header takes, is not sent: UNAUTHENTICATED.
pub type Token = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = io::Result<String>> + Send>> + Send + Sync>;

/// A token that is read anew for each call.
pub fn token_file(path: impl Into<PathBuf>) -> Token {
    let path = path.into();
    token_from(move || std::future::ready(std::fs::read_to_string(&path).map(|text| text.trim().to_owned())))
}

/// A token that `source` gives: a closure that returns a future.
pub fn token_from<F>(source: impl Fn() -> F + Send + Sync + 'static) -> Token
where
    F: Future<Output = io::Result<String>> + Send + 'static,
{
    Arc::new(move || Box::pin(source()))
}

/// How to reach the gateway, and as whom.
#[derive(Clone, Default)]
pub struct Options {
    /// None with a client certificate.
    pub token: Option<Token>,
    /// Which one, where there are several.
    pub tenant: Option<String>,
    /// For calls on a client that has no other; 30 s if not said. See [`Client::within`].
    pub timeout: Option<Duration>,
    /// For which a call that was told when to come back does so, with the same request and request id, beyond its own timeout.
    pub patience: Duration,
    /// Is given what the gateway said of each call, of refused ones too.
    pub on_answer: Option<Arc<dyn Fn(Answer) + Send + Sync>>,
    /// Without TLS, for loopback.
    pub plain_text: bool,
    /// PEM of a private authority.
    pub ca: Option<Vec<u8>>,
    /// PEM of the client's certificate with its chain, and of its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// The services' methods. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    options: Options,
}

/// A client for the gateway at `address`, host:port. It connects when it is first used, on the Tokio runtime within which it is
/// made, and lives as long as that; it panics outside of one.
pub fn connect(address: &str, options: Options) -> Result<Client, tonic::transport::Error> {
    let scheme = if options.plain_text { "http" } else { "https" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?;
    if !options.plain_text {
        let mut tls = match &options.ca {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &options.identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(Client { channel: endpoint.connect_lazy(), options })
}

macro_rules! methods {
    ($stub:ident: $($name:ident($request:ident) -> $response:ty;)*) => {
        impl Client {
            $(
                #[doc = concat!("See [`v1::", stringify!($request), "`].")]
                pub async fn $name(&self, request: v1::$request) -> Result<$response, Error> {
                    let request = request.named();
                    let send = |channel: Channel, request| async move { $stub::new(channel).$name(request).await };
                    self.call(stringify!($name), request.id().to_owned(), send, request).await
                }
            )*
        }
    };
}

methods! {
    ComplianceAssignmentServiceClient:
    create_compliance_assignment(CreateComplianceAssignmentRequest) -> v1::DeviceCompliancePolicyAssignment;
    get_compliance_assignment(GetComplianceAssignmentRequest) -> v1::DeviceCompliancePolicyAssignment;
    list_compliance_assignments(ListComplianceAssignmentsRequest) -> v1::ListComplianceAssignmentsResponse;
    update_compliance_assignment(UpdateComplianceAssignmentRequest) -> v1::DeviceCompliancePolicyAssignment;
    delete_compliance_assignment(DeleteComplianceAssignmentRequest) -> ();
    replace_compliance_assignments(ReplaceComplianceAssignmentsRequest) -> v1::ReplaceComplianceAssignmentsResponse;
    edit_compliance_assignments(EditComplianceAssignmentsRequest) -> v1::ComplianceAssignmentsChange;
    list_compliance_assignment_revisions(ListComplianceAssignmentRevisionsRequest) -> v1::ListComplianceAssignmentRevisionsResponse;
    get_compliance_assignment_revision(GetComplianceAssignmentRevisionRequest) -> v1::ComplianceAssignmentRevision;
    restore_compliance_assignments(RestoreComplianceAssignmentsRequest) -> v1::ComplianceAssignmentsChange;
    get_quota(GetQuotaRequest) -> v1::Quota;
}

methods! {
    CompliancePolicyServiceClient:
    list_compliance_policies(ListCompliancePoliciesRequest) -> v1::ListCompliancePoliciesResponse;
    get_compliance_policy(GetCompliancePolicyRequest) -> v1::DeviceCompliancePolicy;
}

impl Client {
    /// The same client with another timeout for its calls.
    pub fn within(&self, timeout: Duration) -> Client {
        let options = Options { timeout: Some(timeout), ..self.options.clone() };
        Client { channel: self.channel.clone(), options }
    }

    /// One call, again at the times that it is told while there is patience, with one request id.
    async fn call<Q: Clone, R, F>(
        &self,
        name: &'static str,
        request_id: String,
        send: impl Fn(Channel, Request<Q>) -> F,
        message: Q,
    ) -> Result<R, Error>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let until = Instant::now() + self.options.patience;
        loop {
            let status = match self.tries(name, &send, &message).await? {
                Ok(response) => return Ok(response),
                Err(status) => status,
            };
            let error = Error { request_id: request_id.clone(), ..Error::from(status) };
            match error.retry_after {
                Some(told) if Instant::now() + told < until => sleep(told).await,
                _ => return Err(error),
            }
        }
    }

    /// Its retries, within one deadline.
    async fn tries<Q: Clone, R, F>(
        &self,
        name: &'static str,
        send: &impl Fn(Channel, Request<Q>) -> F,
        message: &Q,
    ) -> Result<Result<R, Status>, Error>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let deadline = Instant::now() + self.options.timeout.unwrap_or(Duration::from_secs(30));
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let mut request = Request::new(message.clone());
            match timeout_at(deadline, self.introduce(request.metadata_mut())).await {
                Ok(introduced) => introduced?,
                Err(_) => return Err(Status::deadline_exceeded("no token in time").into()),
            }
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            let status = match timeout_at(deadline, send(self.channel.clone(), request)).await {
                Ok(Ok(response)) => {
                    self.heard(name, response.metadata());
                    return Ok(Ok(response.into_inner()));
                }
                Ok(Err(status)) => of_transport(status),
                Err(_) => Status::deadline_exceeded("the deadline passed"),
            };
            match wait_before_retry(&status, pause) {
                Some(wait) if attempt < ATTEMPTS && Instant::now() + wait < deadline => sleep(wait).await,
                _ => {
                    self.heard(name, status.metadata());
                    return Ok(Err(status));
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        unreachable!("the last attempt returns")
    }

    fn heard(&self, name: &'static str, trailers: &MetadataMap) {
        if let Some(on_answer) = &self.options.on_answer {
            on_answer(Answer::of(name, trailers));
        }
    }

    async fn introduce(&self, metadata: &mut MetadataMap) -> Result<(), Error> {
        let wrong = |error: InvalidMetadataValue| Error::from(Status::invalid_argument(error.to_string()));
        let no_token = |why: &dyn Display| Error::from(Status::unauthenticated(format!("no token: {why}")));
        if let Some(token) = &self.options.token {
            let token = token().await.map_err(|error| no_token(&error))?;
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(no_token(&"it is empty, or no text that a header takes"));
            }
            let mut bearer: MetadataValue<_> = format!("Bearer {token}").parse().map_err(wrong)?;
            bearer.set_sensitive(true); // HTTP/2's own logs leave it out
            metadata.insert("authorization", bearer);
        }
        if let Some(tenant) = &self.options.tenant {
            metadata.insert("x-graph-tenant", tenant.parse().map_err(wrong)?);
        }
        Ok(())
    }
}

/// A connection that was lost is UNAVAILABLE, as other languages' gRPC has it; tonic has UNKNOWN, with what it comes from, or
/// CANCELLED with hyper's words where it went before the call was on it.
fn of_transport(status: Status) -> Status {
    let not_sent = status.message().starts_with("Service was not ready");
    match std::error::Error::source(&status) {
        _ if status.code() == Code::Cancelled && status.message() == "operation was canceled" => {
            Status::unavailable(status.message())
        }
        cause if status.code() == Code::Unknown && (cause.is_some() || not_sent) => Status::unavailable(status.message()),
        _ => status,
    }
}

/// What the push-back says; without one, `pause`. None where nothing shall be tried again.
fn wait_before_retry(status: &Status, pause: Duration) -> Option<Duration> {
    if !matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) {
        return None;
    }
    match status.metadata().get("grpc-retry-pushback-ms") {
        Some(told) => told.to_str().ok()?.parse().ok().map(Duration::from_millis),
        None => Some(pause),
    }
}

/// A write has a request id.
trait Named {
    fn named(self) -> Self;
    fn id(&self) -> &str;
}

macro_rules! named {
    (writes: $($write:ident),*; reads: $($read:ident),*) => {
        $(impl Named for v1::$write {
            fn named(mut self) -> Self {
                if self.request_id.is_empty() {
                    self.request_id = uuid::Uuid::new_v4().to_string();
                }
                self
            }
            fn id(&self) -> &str {
                &self.request_id
            }
        })*
        $(impl Named for v1::$read {
            fn named(self) -> Self {
                self
            }
            fn id(&self) -> &str {
                ""
            }
        })*
    };
}

named! {
    writes: CreateComplianceAssignmentRequest, UpdateComplianceAssignmentRequest, DeleteComplianceAssignmentRequest,
        ReplaceComplianceAssignmentsRequest, EditComplianceAssignmentsRequest, RestoreComplianceAssignmentsRequest;
    reads: GetComplianceAssignmentRequest, ListComplianceAssignmentsRequest, ListComplianceAssignmentRevisionsRequest,
        GetComplianceAssignmentRevisionRequest, GetQuotaRequest, ListCompliancePoliciesRequest, GetCompliancePolicyRequest
}
