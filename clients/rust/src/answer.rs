use tonic::metadata::MetadataMap;
use tonic_types::pb;

/// The caller's own share of the tenant's quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// `writes` or `requests`.
    pub name: String,
    pub remaining: u64,
    /// Seconds until more are available; None if some remain.
    pub reset: Option<u64>,
    /// The total in `window` seconds.
    pub quota: u64,
    pub window: u64,
}

/// What the gateway reports about a call besides the response. A text that it did not send is empty.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The RPC, such as `create_compliance_assignment`.
    pub method: &'static str,
    /// The call's ID in the gateway's log and ledger.
    pub request_id: String,
    /// The `request_id` under which a write was carried out, if the caller gave none.
    pub write_id: String,
    /// Of the policy's set of assignments; only for callers that may read it.
    pub etag: String,
    /// Its reason, such as REPLAYED or FOREIGN_CHANGE_UNDONE.
    pub warning: String,
    pub rate_limit: Option<RateLimit>,
}

impl Answer {
    pub(crate) fn of(method: &'static str, trailers: &MetadataMap) -> Self {
        let text = |name| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let warning = trailers.get_bin("compliance-gateway-warning-bin").and_then(|value| value.to_bytes().ok());
        let info = warning.and_then(|bytes| <pb::ErrorInfo as prost::Message>::decode(bytes).ok());
        Answer {
            method,
            request_id: text("request-id").into(),
            write_id: text("compliance-gateway-request-id").into(),
            etag: text("compliance-gateway-etag").into(),
            warning: info.map(|info| info.reason).unwrap_or_default(),
            rate_limit: limit(text("ratelimit"), text("ratelimit-policy")),
        }
    }
}

/// Parses `"writes";r=3;t=20` and `"writes";q=20;w=20`.
fn limit(left: &str, whole: &str) -> Option<RateLimit> {
    let parameter = |of: &str, name: &str| -> Option<u64> {
        of.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    Some(RateLimit {
        name: left.split(';').next()?.trim_matches('"').into(),
        remaining: parameter(left, "r")?,
        reset: parameter(left, "t"),
        quota: parameter(whole, "q")?,
        window: parameter(whole, "w")?,
    })
}
