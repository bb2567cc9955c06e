"""Entra: discovery, keys, and a token endpoint that checks its input and answers errors with AADSTS codes."""

import hmac
import secrets
import time
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.emulator.clock import Clock
from gateway.emulator.errors import EntraError
from gateway.emulator.registration import App

REFRESH_IN_FROM_S = 7200  # seconds; Entra sends `refresh_in` for tokens that live at least so long


class Entra:
    """One tenant with one app. root: https://host:port of Entra and Graph, set when the port is known."""

    def __init__(self, clock: Clock) -> None:
        self.tenant_id = str(uuid.uuid4())
        self.app = App()
        self.root = ""
        self.token_requests = 0
        self._clock = clock
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = secrets.token_hex(8)
        # Verified tokens: checking a signature takes longer than answering, and its result does not change.
        self._signed = lru_cache(100)(self._signed_claims)

    def discovery(self, tenant: str) -> dict[str, Any]:
        """OpenID configuration. Raises EntraError."""
        self._check_tenant(tenant)
        base = f"{self.root}/{self.tenant_id}"
        return {
            "issuer": f"{base}/v2.0",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        }

    def keys(self) -> dict[str, Any]:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self._kid, "use": "sig"}]}

    def token(self, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        """The token endpoint's answer to a form. Raises EntraError."""
        self.token_requests += 1
        self._check_tenant(tenant)
        if form.get("grant_type") != "client_credentials":
            raise EntraError(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        if form.get("client_id", "").lower() != self.app.client_id:
            text = f"Application with identifier '{form.get('client_id')}' was not found in the directory."
            raise EntraError(400, "unauthorized_client", 700016, text)
        self.app.check_proof(form, f"{self.root}/{self.tenant_id}/oauth2/v2.0/token", self._clock.now())
        resource, dot, default = form.get("scope", "").rpartition("/")
        if default != ".default" or not dot:
            raise EntraError(400, "invalid_scope", 1002012, "The provided value for scope is not valid.")
        self._check_resource(resource)
        refresh = {"refresh_in": self.app.lifetime // 2} if self.app.lifetime >= REFRESH_IN_FROM_S else {}
        lifetime = self.app.lifetime
        return {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": self._issue(),
            **refresh,
        }

    def identity_token(self, header: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The answer of the endpoint for managed identities (App Service, 2019-08-01). Raises EntraError."""
        self.token_requests += 1
        if not hmac.compare_digest(header.encode(), self.app.identity_header.encode()):
            raise EntraError(401, "unauthorized_client", 0, "X-IDENTITY-HEADER is missing or wrong.")
        if query.get("api-version") != "2019-08-01":
            raise EntraError(400, "invalid_request", 0, "The api-version is missing or unknown.")
        wanted = [query[name] for name in ("client_id", "object_id", "mi_res_id") if name in query]
        if any(identity not in self.app.identities for identity in wanted):
            raise EntraError(400, "invalid_request", 0, "Identity not found.")
        self._check_resource(query.get("resource", ""))
        expires_on = int(time.time()) + self.app.lifetime  # by the machine's clock, not the emulator's
        return {"access_token": self._issue(), "expires_on": str(expires_on), "resource": self.root, "token_type": "Bearer"}

    def _check_resource(self, resource: str) -> None:
        if resource != self.root:
            raise EntraError(400, "invalid_resource", 500011, f"The resource principal named {resource} was not found.")

    def _issue(self) -> str:
        now = int(self._clock.now())
        claims = {
            "aud": self.root,
            "iss": f"{self.root}/{self.tenant_id}/",
            "iat": now,
            "nbf": now,
            "exp": now + self.app.lifetime,
            "appid": self.app.client_id,
            "idtyp": "app",
            "tid": self.tenant_id,
            "roles": self.app.roles,
            "jti": secrets.token_urlsafe(16),
        }
        return jwt.encode(claims, self._key, "RS256", {"kid": self._kid})

    def check(self, token: str) -> dict[str, Any]:
        """The claims of a token of this tenant for Graph. Raises jwt.InvalidTokenError; expiry by the emulator's clock."""
        claims = self._signed(token)
        if claims["exp"] <= self._clock.now():
            raise jwt.ExpiredSignatureError
        return claims

    def _signed_claims(self, token: str) -> dict[str, Any]:
        options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp", "aud", "tid"]}
        claims: dict[str, Any] = jwt.decode(token, self._key.public_key(), ["RS256"], options, audience=self.root)
        return claims

    def _check_tenant(self, tenant: str) -> None:
        if tenant.lower() != self.tenant_id:
            raise EntraError(
                400,
                "invalid_request",
                90002,
                f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.",
            )
