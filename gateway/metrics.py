"""The Prometheus metrics and their labels. Every label has a bounded set of values: names from the configuration, operations,
reasons, statuses. An issuer may have any number of callers; `caller_label` bounds these."""

import os
from functools import cache, partial

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.worker import WORKER

if WORKER:  # before any metric is created: the values then live in files that every worker reads
    number = WORKER.number
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = WORKER.folder
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
# Gauges of several live workers are combined as their sum, their maximum or their minimum.
Total = partial(Gauge, multiprocess_mode="livesum")
Most = partial(Gauge, multiprocess_mode="livemax")
Least = partial(Gauge, multiprocess_mode="livemin")

MOST_CALLERS = 200
OTHERS = "(others)"

# The values of each label, for docs/metrics.md.
LABELS = {
    "caller": "The caller's name; `(others)` after the first 200; empty if unauthenticated.",
    "cause": "`certificate`, `dns`, `connection`, `timeout`, `status`, `answer` or `file`.",
    "door": "`grpc` or `rest`.",
    "issuer": "The issuer's name in `[callers.jwt]`.",
    "kind": "The credential's kind.",
    "method": "The HTTP method.",
    "number": "The credential's place in its tenant's list, from 0.",
    "operation": "The RPC's name.",
    "outcome": "For a call or a read: `OK`, `CANCELLED` or a reason from `gateway/errors.py`; for a reload: `ok` or `refused`.",
    "status": "The HTTP status, or `none`.",
    "tenant": "The tenant's name in the configuration.",
    "window": "`writes`, or `requests` (which includes writes).",
    "what": "`rules`, `certificates`, `static callers` or `quota`.",
}

CALLS = Counter(
    "compliance_gateway_calls",
    "Finished calls, by outcome: OK, CANCELLED or a reason.",
    ["operation", "door", "caller", "outcome"],
)
CALL_SECONDS = Histogram(
    "compliance_gateway_call_seconds",
    "Duration of calls in seconds, including the wait for quota and for a shared write.",
    ["operation", "door"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
GRAPH_REQUESTS = Counter(
    "compliance_gateway_graph_requests",
    "Requests to Graph, by the status of the answer; `none` if no answer came.",
    ["tenant", "method", "status"],
)
WRITES_SAVED = Counter(
    "compliance_gateway_writes_saved", "Writes to Graph that were saved because edits of a policy shared one.", ["tenant"]
)
EDITS_WAITING = Total("compliance_gateway_edits_waiting", "Edits that are waiting for their write.", ["tenant"])
QUOTA_LIMIT = Total(
    "compliance_gateway_quota_limit",
    "This replica's share of a window of Graph's quota, in turns for each 20 s.",
    ["tenant", "window"],
)
QUOTA_USED = Total("compliance_gateway_quota_used", "Turns used within the last 20 s.", ["tenant", "window"])
QUOTA_WAITING = Total("compliance_gateway_quota_waiting", "Requests that are waiting for a turn.", ["tenant", "window"])
QUOTA_RESERVED = Total(
    "compliance_gateway_quota_reserved", "Turns reserved for callers that were told when to retry.", ["tenant", "window"]
)
QUOTA_WAIT = Most(
    "compliance_gateway_quota_wait_seconds",
    "How long the next request of a caller without a configured weight would wait for a turn.",
    ["tenant", "window"],
)
REPAIRS = Counter(
    "compliance_gateway_repairs", "Rows restored after a late or stale write of the gateway's had undone them.", ["tenant"]
)
FOREIGN_CHANGES = Counter(
    "compliance_gateway_foreign_changes", "Rows that were changed without the gateway, as far as it noticed.", ["tenant"]
)
DRIFT_READS = Counter(
    "compliance_gateway_drift_reads",
    "Policies that the sweep for drift read, by outcome.",
    ["tenant", "outcome"],
)
UNSETTLED = Total("compliance_gateway_unsettled_policies", "Policies whose writes are still watched.", ["tenant"])
TOKEN_ISSUED = Least(
    "compliance_gateway_token_issued_timestamp_seconds", "When the tenant's token was received, in Unix time.", ["tenant"]
)
TOKEN_EXPIRES = Least(
    "compliance_gateway_token_expires_timestamp_seconds", "When the tenant's token expires, in Unix time.", ["tenant"]
)
LEDGER_UP = Least("compliance_gateway_ledger_up", "1 while the ledger can be written to, else 0.")
CLOCK_SKEW = Most(
    "compliance_gateway_clock_skew_seconds", "How far the clock of the tenant's Graph is ahead of this machine's.", ["tenant"]
)
CERTIFICATE_EXPIRES = Least(
    "compliance_gateway_certificate_expires_timestamp_seconds", "When the doors' certificate expires, in Unix time."
)
RELOADS = Counter(
    "compliance_gateway_reloads",
    "Reloads of changed files, by content (rules, certificates, static callers, quota) and outcome: `ok`, or `refused` if the "
    "file was not valid.",
    ["what", "outcome"],
)
JWKS_UP = Least("compliance_gateway_jwks_up", "1 while the issuer's keys can be read, else 0.", ["issuer"])
JWKS_FAILED = Counter("compliance_gateway_jwks_failed", "Failed reads of an issuer's keys, by cause.", ["issuer", "cause"])
CREDENTIAL_REFUSED = Counter(
    "compliance_gateway_credential_refused", "Refusals of a credential by Entra.", ["tenant", "number", "kind"]
)
CREDENTIAL_IN_USE = Most(
    "compliance_gateway_credential_in_use",
    "1 for the credential that the current token came from, else 0.",
    ["tenant", "number"],
)
CREDENTIAL_EXPIRES = Least(
    "compliance_gateway_credential_expires_seconds", "When the credential expires, in Unix time.", ["tenant", "number"]
)

# Cached for what every call counts: prometheus_client looks up a series by its labels under a lock.
calls_of = cache(CALLS.labels)
seconds_of = cache(CALL_SECONDS.labels)
graph_requests_of = cache(GRAPH_REQUESTS.labels)
_callers: set[str] = set()


def caller_label(name: str) -> str:
    """The label for a caller: its name if it is among the first MOST_CALLERS seen, else `(others)`; empty if
    unauthenticated."""
    if name in _callers or not name:
        return name
    if len(_callers) >= MOST_CALLERS:
        return OTHERS
    _callers.add(name)
    return name


def counted() -> CollectorRegistry:
    """The registry that /metrics shows: that of all workers together, if there are several."""
    if WORKER is None:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry, WORKER.folder)  # type: ignore[no-untyped-call]
    return registry
