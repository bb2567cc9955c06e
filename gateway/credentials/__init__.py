"""Tokens from Entra for the gateway's own app. The only room that knows msal.

Promises: a call waits for Entra only before the tenant's first token; an expired token is never served; a credential that
changed is tried before it is used; no secret or token is in any repr, log line or error. Neighbour: `graph` takes tokens from
here and reports the refused ones.

    credential    what a kind has to do           credential_chain    a tenant's several, as one
    kinds         the built-in ones               token_source        a token, remembered and renewed
    msal_app      one credential, through MSAL    entra_errors        Entra's errors -> GatewayError
"""

from gateway.credentials.credential_chain import CredentialChain
from gateway.credentials.msal_app import AppRegistration, Issued, MsalApp
from gateway.credentials.token_source import TokenSource

__all__ = ["AppRegistration", "CredentialChain", "Issued", "MsalApp", "TokenSource"]
