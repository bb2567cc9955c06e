"""What every call passes, one file each, in the order that bootstrap.steps says: audit first, so that refusals are kept.

A step takes the call and the next handler; it refuses by raising GatewayError, annotates the call, or awaits the next.
"""
