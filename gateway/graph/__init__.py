"""Requests to Microsoft Graph: whom (clouds), how often (retries), what its errors mean (graph_errors), over what (transports).

Promises: nothing is sent past the caller's deadline; a write is sent again only where Graph cannot have carried it out;
no body of Graph's gets out of here but as the parsed answer of a success.
"""
