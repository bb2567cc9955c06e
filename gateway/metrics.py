"""What is counted and gauged (Prometheus), with what the labels hold. The sets of labels are bounded: names from the
configuration, operations, reasons, statuses; callers, of which an issuer may have any number, by `caller_label`."""

import os
from functools import cache, partial

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.worker import WORKER

if WORKER:  # before any is made: what is counted goes into files, which every worker reads
    number = WORKER.number
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = WORKER.folder
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
# A gauge of several workers that live: all that they have, or what the one says that has the most, or the least.
Total = partial(Gauge, multiprocess_mode="livesum")
Most = partial(Gauge, multiprocess_mode="livemax")
Least = partial(Gauge, multiprocess_mode="livemin")

MOST_CALLERS = 200
OTHERS = "(others)"

# What a label holds, for docs/metrics.md.
LABELS = {
    "caller": "The caller's name; `(others)` after the first 200, empty for an unknown one.",
    "cause": "`certificate`, `dns`, `connection`, `timeout`, `status`, `answer` or `file`.",
    "door": "`grpc` or `rest`.",
    "issuer": "The issuer's name in `[callers.jwt]`.",
    "kind": "The credential's kind.",
    "method": "The HTTP method.",
    "number": "The credential's place in its tenant's list, from 0.",
    "operation": "The RPC's name.",
    "outcome": "Of a call or read: `OK`, `CANCELLED`, or a reason of `gateway/errors.py`; of a reload: `ok` or `refused`.",
    "status": "The HTTP status, or `none`.",
    "tenant": "The tenant's name in the configuration.",
    "window": "`writes`, or `requests`, of which writes are a part.",
    "what": "`rules`, `certificates`, `static callers` or `quota`.",
}

CALLS = Counter(
    "compliance_gateway_calls",
    "Calls that ended, by how they ended: OK, CANCELLED or a reason.",
    ["operation", "door", "caller", "outcome"],
)
CALL_SECONDS = Histogram(
    "compliance_gateway_call_seconds",
    "How long calls took, waiting for quota and for a shared write included.",
    ["operation", "door"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
GRAPH_REQUESTS = Counter(
    "compliance_gateway_graph_requests",
    "Requests to Graph, by the answer's status; `none` where no answer came.",
    ["tenant", "method", "status"],
)
WRITES_SAVED = Counter(
    "compliance_gateway_writes_saved", "Writes to Graph that were not needed because edits of a policy shared one.", ["tenant"]
)
EDITS_WAITING = Total("compliance_gateway_edits_waiting", "Edits that wait for their write.", ["tenant"])
QUOTA_LIMIT = Total(
    "compliance_gateway_quota_limit", "Turns in 20 s that this replica has of a window of Graph's quota.", ["tenant", "window"]
)
QUOTA_USED = Total("compliance_gateway_quota_used", "Turns of these that count now.", ["tenant", "window"])
QUOTA_WAITING = Total("compliance_gateway_quota_waiting", "Turns that are waited for.", ["tenant", "window"])
QUOTA_RESERVED = Total(
    "compliance_gateway_quota_reserved", "Turns that are kept for those who were told when to come back.", ["tenant", "window"]
)
QUOTA_WAIT = Most(
    "compliance_gateway_quota_wait_seconds",
    "How long one more turn of a caller that is not listed would wait.",
    ["tenant", "window"],
)
REPAIRS = Counter(
    "compliance_gateway_repairs", "Rows that were restored, because a late or stale write of ours had undone them.", ["tenant"]
)
FOREIGN_CHANGES = Counter(
    "compliance_gateway_foreign_changes", "Rows that others were seen to change, beside the gateway.", ["tenant"]
)
DRIFT_READS = Counter(
    "compliance_gateway_drift_reads",
    "Policies that were read by the sweep for drift, by how that ended.",
    ["tenant", "outcome"],
)
UNSETTLED = Total("compliance_gateway_unsettled_policies", "Policies whose writes are still watched.", ["tenant"])
TOKEN_ISSUED = Least(
    "compliance_gateway_token_issued_timestamp_seconds", "When the tenant's token came, in Unix time.", ["tenant"]
)
TOKEN_EXPIRES = Least(
    "compliance_gateway_token_expires_timestamp_seconds", "When the tenant's token ends, in Unix time.", ["tenant"]
)
LEDGER_UP = Least("compliance_gateway_ledger_up", "1 while the ledger can be written to.")
CLOCK_SKEW = Most(
    "compliance_gateway_clock_skew_seconds", "By how much the tenant's Graph is ahead of this machine's clock.", ["tenant"]
)
CERTIFICATE_EXPIRES = Least(
    "compliance_gateway_certificate_expires_timestamp_seconds", "When the doors' certificate ends, in Unix time."
)
RELOADS = Counter(
    "compliance_gateway_reloads",
    "Times that a file was read anew, by what it holds (rules, certificates, static callers, quota) and whether it was taken: "
    "`ok` or `refused`.",
    ["what", "outcome"],
)
JWKS_UP = Least("compliance_gateway_jwks_up", "1 while the keys of an issuer of callers' tokens can be read.", ["issuer"])
JWKS_FAILED = Counter(
    "compliance_gateway_jwks_failed", "Times that an issuer's keys could not be read, by why.", ["issuer", "cause"]
)
CREDENTIAL_REFUSED = Counter(
    "compliance_gateway_credential_refused", "Times that Entra did not take a credential.", ["tenant", "number", "kind"]
)
CREDENTIAL_IN_USE = Most(
    "compliance_gateway_credential_in_use", "1 for the credential that gave the token.", ["tenant", "number"]
)
CREDENTIAL_EXPIRES = Least(
    "compliance_gateway_credential_expires_seconds", "When the credential ends, in Unix time.", ["tenant", "number"]
)

# What is counted for every call is looked up once: prometheus_client finds a series by its labels under a lock.
calls_of = cache(CALLS.labels)
seconds_of = cache(CALL_SECONDS.labels)
graph_requests_of = cache(GRAPH_REQUESTS.labels)
_callers: set[str] = set()


def caller_label(name: str) -> str:
    """The name of one of the first callers that were seen; `(others)` for those after, empty for an unknown one."""
    if name in _callers or not name:
        return name
    if len(_callers) >= MOST_CALLERS:
        return OTHERS
    _callers.add(name)
    return name


def counted() -> CollectorRegistry:
    """What /metrics shows: of all workers together, where there are several."""
    if WORKER is None:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry, WORKER.folder)  # type: ignore[no-untyped-call]
    return registry
