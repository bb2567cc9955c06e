"""Tokens from Entra for the gateway's own app. Only this room imports msal.

Promises: a call waits for Entra only before the tenant's first token; an expired token is never used; a changed credential is
tried before it is used; no secret or token is in any repr, log line or error. `graph` gets its tokens here, and reports those
that Graph refuses.

    credential    the Protocol of a kind          credential_chain    the credentials of a tenant as one
    kinds         the built-in kinds              token_source        caches and renews a tenant's token
    msal_app      one credential, through MSAL    entra_errors        Entra's errors -> GatewayError
"""

from gateway.credentials.credential_chain import CredentialChain
from gateway.credentials.msal_app import AppRegistration, Issued, MsalApp
from gateway.credentials.token_source import TokenSource

__all__ = ["AppRegistration", "CredentialChain", "Issued", "MsalApp", "TokenSource"]
