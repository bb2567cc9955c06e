"""The app's registration in Entra, and the proofs that it accepts: secrets, certificates, trusted issuers, managed identities.
Codes: https://learn.microsoft.com/entra/identity-platform/reference-error-codes."""

import base64
import hmac
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

from gateway.emulator.errors import GROUP_ROLE, READ_ROLE, WRITE_ROLE, EntraError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ["PS256", "RS256"]
EXCHANGE = "api://AzureADTokenExchange"


@dataclass
class Trust:
    """A federated identity credential: a token of this issuer for this subject proves the app. key: the issuer's public key,
    PEM."""

    issuer: str
    subject: str
    key: str
    audience: str = EXCHANGE


@dataclass
class App:
    """secret: in the emulator's folder. secrets, expired_secrets: further ones. certificates: PEM. authorities: PEM of the
    issuers whose certificates for `subject_names` (RFC 4514) are accepted in x5c. identities: IDs of managed identities beside
    the system-assigned one. lifetime: of the app's tokens, in seconds. seen: `jti` of used assertions."""

    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)
    secrets: list[str] = field(default_factory=list, repr=False)
    expired_secrets: list[str] = field(default_factory=list, repr=False)
    certificates: list[str] = field(default_factory=list)
    authorities: list[str] = field(default_factory=list)
    subject_names: list[str] = field(default_factory=list)
    federated: list[Trust] = field(default_factory=list)
    identity_header: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    identities: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=lambda: [READ_ROLE, WRITE_ROLE, GROUP_ROLE])
    lifetime: int = 3599
    seen: set[str] = field(default_factory=set)

    def check_proof(self, form: Mapping[str, str], audience: str, now: float) -> None:
        """Raises EntraError unless the form of a token request has a valid proof of the app. audience: the token endpoint's
        URL. now: seconds since the epoch."""
        if form.get("client_assertion"):
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                raise _invalid(900144, "The request body must contain the parameter 'client_assertion_type'.")
            self._check_assertion(form["client_assertion"], audience, now)
        elif form.get("client_secret"):
            self._check_secret(form["client_secret"].encode())
        else:
            text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise _invalid(7000216, text)

    def _check_secret(self, given: bytes) -> None:
        if any(hmac.compare_digest(given, old.encode()) for old in self.expired_secrets):
            raise _invalid(7000222, f"The provided client secret keys for app '{self.client_id}' are expired.")
        if not any(hmac.compare_digest(given, good.encode()) for good in (self.secret, *self.secrets)):
            text = "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value."
            raise _invalid(7000215, text)

    def _check_assertion(self, assertion: str, audience: str, now: float) -> None:
        try:
            header = jwt.get_unverified_header(assertion)
            claims = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            raise _invalid(50027, "JWT token is invalid or malformed.") from None
        if claims.get("iss") == self.client_id:
            key, audiences = self._key_of(header, now), [audience, audience.replace("/oauth2/v2.0/token", "/v2.0")]
            mismatch = 700023, "Client assertion audience claim does not match Realm issuer."
            if claims.get("sub") != self.client_id:
                raise _invalid(700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
        else:
            trust = self._trust_of(claims)
            key, audiences = trust.key, [trust.audience]
            mismatch = 700212, "No matching federated identity record found for presented assertion audience."
        options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
        try:
            jwt.decode(assertion, key, ALGORITHMS, options)
        except jwt.InvalidTokenError:
            raise _invalid(700027, "The certificate with identifier used to sign the client assertion is not ours.") from None
        if claims.get("aud") not in audiences:
            raise _invalid(*mismatch)
        if not float(claims.get("nbf", claims.get("iat", now))) - 300 <= now < float(claims.get("exp", 0)):
            raise _invalid(700024, "Client assertion is not within its valid time range.")
        if claims.get("iss") == self.client_id:  # another issuer's token may be used until it expires
            if not claims.get("jti") or claims["jti"] in self.seen:
                raise _invalid(50013, "The assertion was used before.")
            self.seen.add(claims["jti"])

    def _key_of(self, header: Mapping[str, Any], now: float) -> Any:
        """The public key of the certificate that a JWT header names by SHA-256 thumbprint or by x5c. Raises EntraError."""
        for certificate in map(_certificate, self.certificates):
            thumbprint = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
            if hmac.compare_digest(thumbprint, str(header.get("x5t#S256", "")).rstrip("=")):
                if certificate.not_valid_after_utc.timestamp() <= now:
                    raise _invalid(700027, "The key used is expired.")
                return certificate.public_key()
        for text in header.get("x5c", ())[:1]:
            certificate = x509.load_der_x509_certificate(base64.b64decode(text))
            if certificate.subject.rfc4514_string() in self.subject_names and self._issued_by_ours(certificate):
                return certificate.public_key()
        raise _invalid(700027, "The certificate with identifier used to sign the client assertion is not registered.")

    def _issued_by_ours(self, certificate: x509.Certificate) -> bool:
        for authority in map(_certificate, self.authorities):
            try:
                certificate.verify_directly_issued_by(authority)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return True
        return False

    def _trust_of(self, claims: Mapping[str, Any]) -> Trust:
        trusted = [trust for trust in self.federated if trust.issuer == claims.get("iss")]
        if not trusted:
            raise _invalid(700211, "No matching federated identity record found for presented assertion issuer.")
        found = next((trust for trust in trusted if trust.subject == claims.get("sub")), None)
        if found is None:
            raise _invalid(700213, "No matching federated identity record found for presented assertion subject.")
        return found


def _certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def _invalid(code: int, text: str) -> EntraError:
    return EntraError(401, "invalid_client", code, text)
