"""Requests to Microsoft Graph: the addresses (clouds), retries, the meaning of errors (graph_errors), the HTTP clients
(transports), the quota, and reads that are passed on (read_through, tree, links).

Promises: nothing is sent after the caller's deadline; a write is sent again only if Graph certainly did not carry it out; no
body of an error from Graph leaves this room, except in a read that is passed on."""
