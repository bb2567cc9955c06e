"""What is counted and gauged (Prometheus). Label sets are bounded: names from the configuration, kinds, reasons."""

from prometheus_client import Counter, Gauge

CREDENTIAL_REFUSED = Counter(
    "compliance_gateway_credential_refused", "Times that Entra did not take a credential.", ["tenant", "number", "kind"]
)
CREDENTIAL_IN_USE = Gauge(
    "compliance_gateway_credential_in_use", "1 for the credential that gave the token.", ["tenant", "number"]
)
CREDENTIAL_EXPIRES = Gauge(
    "compliance_gateway_credential_expires_seconds", "When the credential ends, in Unix time.", ["tenant", "number"]
)
