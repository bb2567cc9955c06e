"""Tokens from Entra for the gateway's own app. The only room that knows msal.

Promises: a call waits for Entra only before the tenant's first token; an expired token is never served; no secret or
token is in any repr, log line or error. Neighbour: `graph` takes tokens from here and reports the refused ones.
"""

from gateway.credentials.msal_app import Issued, MsalApp
from gateway.credentials.token_source import TokenSource

__all__ = ["Issued", "MsalApp", "TokenSource"]
