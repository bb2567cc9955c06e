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

/// The generated messages and stubs.
#[allow(clippy::all, rustdoc::all)]
pub mod v1 {
    tonic::include_proto!("compliance_gateway.v1");
}
use v1::compliance_assignment_service_client::ComplianceAssignmentServiceClient;
use v1::compliance_policy_service_client::CompliancePolicyServiceClient;

// The retry policy of the other clients' gRPC service config. tonic has no service config, so the helper retries itself.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A call that is cancelled so shortly before its deadline, by tonic's timer or the server's, has met it.
const OF_THE_DEADLINE: Duration = Duration::from_millis(100);

/// Returns the caller's token; called before each call. Made by [`token_file`], or by [`token_from`] for any other source. If it
/// fails, or its token does not fit into a header, the call is not sent: UNAUTHENTICATED.
pub type Token = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = io::Result<String>> + Send>> + Send + Sync>;

/// A token that is read from the file for each call.
pub fn token_file(path: impl Into<PathBuf>) -> Token {
    let path = path.into();
    token_from(move || std::future::ready(std::fs::read_to_string(&path).map(|text| text.trim().to_owned())))
}

/// A token from `source`, a closure that returns a future.
pub fn token_from<F>(source: impl Fn() -> F + Send + Sync + 'static) -> Token
where
    F: Future<Output = io::Result<String>> + Send + 'static,
{
    Arc::new(move || Box::pin(source()))
}

/// The connection to the gateway and the caller's identity.
#[derive(Clone, Default)]
pub struct Options {
    /// None with a client certificate.
    pub token: Option<Token>,
    /// Needed if the gateway has several tenants.
    pub tenant: Option<String>,
    /// Of each call; default 30 s. [`Client::within`] makes a client with another timeout.
    pub timeout: Option<Duration>,
    /// How long a refused call is repeated at its time to retry, with the same request and request ID, beyond its own timeout.
    pub patience: Duration,
    /// Called for each call, refused ones included.
    pub on_answer: Option<Arc<dyn Fn(Answer) + Send + Sync>>,
    /// Without TLS, for loopback.
    pub plain_text: bool,
    /// PEM of a private authority.
    pub ca: Option<Vec<u8>>,
    /// PEM of the client's certificate with its chain, and PEM of its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// The methods of both services. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    options: Options,
}

/// A client for the gateway at `address`, host:port. It connects when it is first used, and works as long as the Tokio runtime
/// in which it was made. Panics outside of a Tokio runtime.
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

    /// One call. A refused call is repeated at its times to retry, within `patience`, with the same request ID.
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

    /// One call with its retries, within one deadline.
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
                Ok(Err(status)) => of_transport(status, deadline),
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
                return Err(no_token(&"it is empty, or not valid in a header"));
            }
            let mut bearer: MetadataValue<_> = format!("Bearer {token}").parse().map_err(wrong)?;
            bearer.set_sensitive(true); // HTTP/2's logs then omit it
            metadata.insert("authorization", bearer);
        }
        if let Some(tenant) = &self.options.tenant {
            metadata.insert("x-graph-tenant", tenant.parse().map_err(wrong)?);
        }
        Ok(())
    }
}

/// Makes the status of a lost connection UNAVAILABLE, as in other languages' gRPC. tonic has UNKNOWN with a source, or CANCELLED
/// with hyper's message if the connection was lost before the call was sent. CANCELLED at the deadline, which tonic's timer and a
/// server that resets the stream then lead to, becomes DEADLINE_EXCEEDED.
fn of_transport(status: Status, deadline: Instant) -> Status {
    let not_sent = status.message().starts_with("Service was not ready");
    match std::error::Error::source(&status) {
        _ if status.code() == Code::Cancelled && Instant::now() + OF_THE_DEADLINE >= deadline => {
            Status::deadline_exceeded(status.message())
        }
        _ if status.code() == Code::Cancelled && status.message() == "operation was canceled" => {
            Status::unavailable(status.message())
        }
        cause if status.code() == Code::Unknown && (cause.is_some() || not_sent) => Status::unavailable(status.message()),
        _ => status,
    }
}

/// The wait before a retry: the push-back, or `pause` if there is none. None if the call must not be retried.
fn wait_before_retry(status: &Status, pause: Duration) -> Option<Duration> {
    if !matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) {
        return None;
    }
    match status.metadata().get("grpc-retry-pushback-ms") {
        Some(told) => told.to_str().ok()?.parse().ok().map(Duration::from_millis),
        None => Some(pause),
    }
}

/// Gives a write a request ID if it has none.
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
