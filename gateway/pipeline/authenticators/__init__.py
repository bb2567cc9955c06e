"""The ways to authenticate a caller, one module each. Each kind gives names in a format of its own, so that callers of
different kinds never have the same name: `name` for static tokens, `issuer:subject` for JSON web tokens, `mtls:identity` for
client certificates."""
