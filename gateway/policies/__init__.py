"""What every call passes, one file each, in the order that bootstrap.policies says: audit first, so that refusals are kept.

A policy takes the call and the next handler; it refuses by raising GatewayError, annotates the call, or awaits the next.
"""
